"""Tell people of a run: into the log always, and to the places that DOCBATCH_NOTIFY names."""

from __future__ import annotations

import asyncio
import html
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.notifier import BaseNotifier
from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from pipeline.airflow.notices import Failed, Notice

log = logging.getLogger(__name__)
SHARE_OF_OVERTIME = 0.6
LONGEST_SNS_SUBJECT = 99  # characters; SNS refuses a longer one, and anything but ASCII


class PlainNotifier(BaseNotifier):
    """A notifier without templates. Airflow would prepare them all the same, which fails in `dag.test()`."""

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        pass


class Told(PlainNotifier):
    """Tells one thing that is known already."""

    def __init__(self, notice: Notice) -> None:
        super().__init__()
        self.notice = notice

    def notify(self, context: Any) -> None:
        tell(self.notice, context)


class FailureTold(PlainNotifier):
    """Of the tasks of a run that fail for good, the first is told of; the others have mostly the same reason.

    Stands on tasks, not on the DAG: only there is the error at hand, and the worker's access to the work store.
    """

    def notify(self, context: Any) -> None:
        in_time(lambda: _tell_failure(context))


class UntidiedTold(PlainNotifier):
    """Tells of a task of the maintenance DAG that failed for good."""

    def notify(self, context: Any) -> None:
        from pipeline.airflow.notices import untidied

        in_time(lambda: tell(untidied(_what_failed(context, cost="")), context))


class EndTold(PlainNotifier):
    """Of a run that failed although no task did: it took too long, or nothing in it can run."""

    def notify(self, context: Any) -> None:
        from pipeline.airflow.notices import ended
        from pipeline.airflow.places import run_key_of

        if context["reason"] != "task_failure":
            tell(ended(context["dag"].dag_id, run_key_of(context), context["reason"], cost_so_far(context)), context)


def in_time(work: Callable[[], None]) -> None:
    """Do it, or leave it: a task that works on for `task_success_overtime` after its end is killed by Airflow, and then
    repeated, even where it had failed for good."""
    seconds = conf.getint("core", "task_success_overtime") * SHARE_OF_OVERTIME
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(seconds)
    if worker.is_alive():
        log.error(
            "Nobody may have been told of this failure: it took more than %.0f s. Where mail or S3 are slow, raise "
            "AIRFLOW__CORE__TASK_SUCCESS_OVERTIME",
            seconds,
        )


def _tell_failure(context: Any) -> None:
    from pipeline.airflow.notices import failed
    from pipeline.airflow.places import is_first_to_tell

    cost = cost_so_far(context)
    if is_first_to_tell(context):
        tell(failed(_what_failed(context, cost)), context)


async def tell_late(context: dict[str, Any]) -> None:
    """What Airflow's triggerer calls when a scheduled run was not done by DOCBATCH_DEADLINE."""
    await asyncio.to_thread(_tell_late, context)


def _tell_late(context: dict[str, Any]) -> None:
    from pipeline.airflow.notices import late
    from pipeline.airflow.places import run_key_of

    run, due = context["dag_run"], context["deadline"]["deadline_time"]
    if run["run_type"] != "scheduled":  # one by hand is not awaited, and one of a backfill is late by its nature
        return
    about = {"params": run.get("conf"), "run_id": run["dag_run_id"]}
    told = late(run["dag_id"], run_key_of(about), f"{due:%Y-%m-%d %H:%M} UTC", run["state"], cost_so_far(about))
    tell(told, context)


def _what_failed(context: Any, cost: str) -> Failed:
    """Of an error that is not ours only the name: its text may quote a document, and leaves the house."""
    from pipeline.airflow.notices import Failed
    from pipeline.airflow.places import run_key_of
    from pipeline.errors import DocbatchError

    ti, error = context["ti"], context.get("exception")
    task = ti.task_id if ti.map_index < 0 else f"{ti.task_id} [{ti.map_index}]"
    kind = type(error).__name__ if isinstance(error, BaseException) else None
    message = str(error) if isinstance(error, DocbatchError) else "see the task's log"
    if kind is None:
        message = "the task was killed or lost, or had no error of its own"
    return Failed(context["dag"].dag_id, task, run_key_of(context), kind, message, cost, ti.log_url)


def cost_so_far(context: Any) -> str:
    """What the run has cost, in words; also where that cannot be found out now."""
    from pipeline.airflow.notices import dollars
    from pipeline.airflow.places import status_of
    from pipeline.errors import DocbatchError

    try:
        status = status_of(context)
    except DocbatchError as error:
        return f"unknown, for the run's state could not be read ({error})"
    if status is None or not any(one.batches for one in status.rounds) or status.phase == "refused":
        return "nothing, for nothing was sent"
    jobs = f", without {status.open_jobs} jobs that are not collected" if status.open_jobs else ""
    return f"{dollars(status.cost_usd)}{jobs}"


def tell(notice: Notice, context: Any) -> None:
    """Log it, and send it to every place. A place that cannot be reached does not silence the others."""
    from pipeline.settings import load_settings

    log.warning("%s\n%s", notice.subject, notice.text)
    settings = load_settings()
    for place in settings.notify:
        try:
            # Not called as Airflow calls it: that would take what an error says for a template.
            notifier_for(place, notice, settings.aws_conn_id).notify(context)
        except Exception as error:  # noqa: BLE001 - whatever a provider raises, the other places are to hear of it
            log.error("DOCBATCH_NOTIFY: %s was not told (%s: %s)", place, type(error).__name__, error)


def notifier_for(place: str, notice: Notice, aws_conn_id: str | None) -> BaseNotifier:
    """Airflow's own notifier for a mail address, an SNS topic or a webhook's connection."""
    if place.startswith("arn:"):
        from airflow.providers.amazon.aws.notifications.sns import SnsNotifier

        subject = notice.subject.encode("ascii", "replace").decode()[:LONGEST_SNS_SUBJECT]
        region = place.split(":")[3]
        return SnsNotifier(
            aws_conn_id=aws_conn_id, target_arn=place, subject=subject, message=notice.text, region_name=region
        )
    if place.startswith("http:"):
        from airflow.providers.http.notifications.http import HttpNotifier

        message = {"text": f"*{notice.subject}*\n\n{notice.text}"}
        return HttpNotifier(http_conn_id=place.removeprefix("http:"), json=message)
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    page = f"<pre>{html.escape(notice.text)}</pre>"
    return SmtpNotifier(to=place, subject=notice.subject, html_content=page)
