"""The first task of the DAG: refuse what no run can be made of, and say what a run would cost where that is asked."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.airflow.orders import Asked
    from pipeline.steps import Services
    from pipeline.steps.progress import Progress

log = logging.getLogger(__name__)
TOLD_SECONDS = 30.0  # between two lines of progress


def forecast(context: Any) -> dict[str, Any]:
    """The forecast as the XCom of the task; a dry run ends with it, and everything after it is skipped.

    Keys, always all of them: `dry_run`, `run_key`, `run_date` (YYYY-MM-DD), `source`, `output`, `model`; and
    `documents` (new or changed), `requests`, `input_tokens`, `output_tokens`, `cost_usd` and `at_most_usd` (strings of
    a decimal number), `analyses` (a mapping: name -> `requests`, `input_tokens`, `output_tokens`, `cost_usd`,
    `at_most_usd`). These seven are None where nothing was forecast; a cost also where the price is unknown. Figures are
    of the first round, `at_most_usd` with the longest answers and the upper end of the interval.
    """
    from airflow.sdk.exceptions import DownstreamTasksSkipped

    from pipeline.airflow.connecting import services
    from pipeline.airflow.orders import read_params
    from pipeline.steps.orders import refuse_order
    from pipeline.terminal.console import shown_place

    asked = read_params(context["params"], context["dag_run"])
    reached = services(asked.settings)
    refuse_order(reached, asked.order)
    tell_lifecycle(reached, asked)
    log.info("Run %s of %s: %s", asked.order.run_key, asked.order.run_date, shown_place(asked.order.source_uri))
    found = _as_xcom(asked, _quoted(reached, asked) if asked.needs_forecast else None)
    if asked.dry_run:
        log.info("A dry run ends here: nothing was sent. Trigger it again without dry_run to pay for it")
        context["ti"].xcom_push(key="return_value", value=found)
        after = context["task"].get_flat_relative_ids(upstream=False)
        raise DownstreamTasksSkipped(tasks=sorted(after))  # type: ignore[no-untyped-call] # Airflow is not typed here
    return found


def tell_lifecycle(services: Services, asked: Asked) -> None:
    """A warning when the model's end of life is near or over."""
    if warning := services.find_model(asked.settings.model)[0].lifecycle_warning(asked.order.run_date):
        log.warning("%s", warning)


def _quoted(services: Services, asked: Asked) -> Mapping[str, Any]:
    """The forecast with its prices, shown in the log as `docbatch plan` prints it."""
    from pipeline.steps.forecasting import PlanOrder, forecast_source
    from pipeline.steps.quoting import quote
    from pipeline.terminal.quotes import print_quote

    order = asked.order
    wanted = PlanOrder(
        order.source_uri, order.output_uri, order.work_uri, order.sample, order.seed, order.force, alone=True
    )
    found = quote(services, forecast_source(services, wanted, _Told()), order.run_date)
    text = io.StringIO()
    print_quote(found, text)
    for line in text.getvalue().splitlines():
        if line.strip():
            log.info("%s", line.rstrip())
    return found


class _Told:
    """Says how far the reading is, a line every TOLD_SECONDS."""

    def __init__(self) -> None:
        self._next_seconds = TOLD_SECONDS

    def __call__(self, progress: Progress) -> None:
        if progress.seconds >= self._next_seconds:
            self._next_seconds = progress.seconds + TOLD_SECONDS
            log.info("%s", progress.told())


def _as_xcom(asked: Asked, quoted: Mapping[str, Any] | None) -> dict[str, Any]:
    order = asked.order
    about = {
        "dry_run": asked.dry_run,
        "run_key": order.run_key,
        "run_date": order.run_date.isoformat(),
        "source": order.source_uri,
        "output": order.output_uri,
        "model": asked.settings.model,
    }
    if quoted is None:
        return about | {"documents": None} | _figures(None) | {"analyses": None}
    *analyses, whole = quoted["forecast"]
    return {
        **about,
        "documents": quoted["documents"]["to_do"],
        **_figures(whole),
        "analyses": {one["analysis"]: _figures(one) for one in analyses},
    }


def _figures(row: Mapping[str, Any] | None) -> dict[str, Any]:
    if row is None:
        return dict.fromkeys(("requests", "input_tokens", "output_tokens", "cost_usd", "at_most_usd"))
    cost, most = row["cost_usd"], row["cost_at_most_usd"]
    return {
        "requests": row["requests"]["expected"],
        "input_tokens": row["input_tokens"]["expected"],
        "output_tokens": row["output_tokens"],
        "cost_usd": None if cost is None else f"{cost:f}",
        "at_most_usd": None if most is None else f"{most:f}",
    }
