"""A run that may cost more than is allowed without asking waits for a person, who sees the forecast."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.execution_time import task_runner

from pipeline.airflow.notifying import Told
from pipeline.errors import ApprovalRefused
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from pipeline.settings import Settings

BUDGETS = {"budget_usd": "run", "budget_day_usd": "day", "budget_month_usd": "month"}
TESTED_BY = "dag_test"  # who triggers, in the words of `dag.test()` and `airflow dags test`


class RunApproval(ApprovalOperator):
    """Goes on at once below DOCBATCH_APPROVAL_ABOVE_USD, else waits for a person; how it was decided.

    A refusal fails the run at once (ApprovalRefused): a night without results must not look like one with them. Where
    nobody can answer, DOCBATCH_APPROVAL_WITHOUT_A_PERSON decides.
    """

    template_fields = (*ApprovalOperator.template_fields, "forecast")

    def __init__(self, *, forecast: Any, **kwargs: Any) -> None:
        hours = timedelta(hours=load_settings().approval_hours)
        subject = "May this run of docbatch go on?"
        super().__init__(subject=subject, fail_on_reject=True, response_timeout=hours, **kwargs)
        self.forecast = forecast

    def execute(self, context: Any) -> str:
        settings = load_settings()
        reason = why_ask(self.forecast, settings.approval_above_usd)
        if reason is None:
            return self._decided("nobody had to be asked")
        if nobody_can_answer(context):
            return self._decided(without_a_person(settings, reason))
        self._ask(context, reason)
        super().execute(context)
        raise AssertionError("Airflow parks a task that waits for a person by an exception")

    def execute_complete(self, context: Any, event: dict[str, Any]) -> str:
        who = (event.get("responded_by_user") or {}).get("name", "somebody")
        try:
            super().execute_complete(context, event)
        except HITLRejectException:
            raise ApprovalRefused(f"{who} did not approve it; nothing was sent") from None
        except HITLTimeoutError:
            hours = load_settings().approval_hours
            raise ApprovalRefused(f"nobody approved it within {hours:g} hours; nothing was sent") from None
        return self._decided(f"approved by {who}")

    def _ask(self, context: Any, reason: str) -> None:
        from pipeline.airflow.notices import to_approve
        from pipeline.airflow.orders import read_params

        settings = read_params(context["params"], context["dag_run"]).settings
        budgets = {of: getattr(settings, name) for name, of in BUDGETS.items()}
        notice = to_approve(reason, self.forecast, budgets, settings.approval_hours)
        self.subject, self.body, self.notifiers = notice.subject, notice.text, [Told(notice)]

    def _decided(self, how: str) -> str:
        self.log.info("Approval: %s", how)
        return how


def why_ask(forecast: Mapping[str, Any], above_usd: Decimal | None) -> str | None:
    """Why a person is to be asked; None when nobody is."""
    from pipeline.airflow.notices import at_most, dollars

    most = forecast["at_most_usd"]
    if above_usd is None:
        return None
    if most is None:
        return "nobody knows what they cost, for the model has no known price"
    if Decimal(most) <= above_usd:
        return None
    return f"they may cost up to {at_most(most)}, and above {dollars(above_usd)} a person decides"


def without_a_person(settings: Settings, reason: str) -> str:
    """What is done where no person can answer. Raises ApprovalRefused."""
    if settings.approval_without_a_person == "refuse":
        raise ApprovalRefused(
            f"the documents need an approval: {reason}. Under `airflow dags test` and `dag.test()` nobody can give it; "
            "nothing was sent. Trigger the DAG in Airflow, raise DOCBATCH_APPROVAL_ABOVE_USD, or set "
            "DOCBATCH_APPROVAL_WITHOUT_A_PERSON=go_on"
        )
    return f"went on without a person (DOCBATCH_APPROVAL_WITHOUT_A_PERSON = go_on), although {reason}"


def nobody_can_answer(context: Any) -> bool:
    """Whether a test of Airflow's runs this task: in its own process, or through an executor under its own name.

    Airflow's approval would wait for ever there.
    """
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return isinstance(comms, InProcessSupervisorComms) or context["dag_run"].triggering_user_name == TESTED_BY
