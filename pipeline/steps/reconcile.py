"""The ledger of published runs held against Bedrock's own totals, CloudWatch's counts and a bill of AWS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.domain import Mode
from pipeline.errors import ObjectMissing, ServiceError
from pipeline.manifest import run_folder
from pipeline.money.billing import read_bill
from pipeline.money.booked import BookedDay, BookedJob, Span
from pipeline.money.cloudwatch import MetricsClient, Period
from pipeline.money.reconciling import Check, Figure, check_days, check_job, check_tagged
from pipeline.steps.reports import JobReport, read_reports
from pipeline.steps.run import Services

Report = Callable[[Check], None]


def job_checks(services: Services, work_uri: str, run_keys: Sequence[str], booked: Sequence[BookedJob]) -> list[Check]:
    """Every job of the runs: what the ledger has of it against its manifest.json.out."""
    return [
        check
        for run_key in run_keys
        for check in _run_checks(services, work_uri, run_key, [one for one in booked if one.run_key == run_key])
    ]


def bill_checks(path: Path, booked: Sequence[BookedDay], run_key: str | None) -> list[Check]:
    """Every day that the report covers, of one run's days or of all, and every run whose tag it holds.

    A day is compared whole: the bill knows no runs where nothing is tagged. Raises SettingsError.
    """
    days = {one.day for one in booked if run_key in {None, one.run_key}}
    return [
        check
        for model in sorted({one.model for one in booked})
        for check in _model_checks(path, model, [one for one in booked if one.model == model], days, run_key)
    ]


def metric_checks(services: Services, booked: Sequence[BookedDay], spans: Sequence[Span]) -> list[Check]:
    """Every run against CloudWatch's counts of its model while it lasted, whoever else used the model in that time."""
    if services.metrics_client is None:
        return [Check("CloudWatch", not_compared="the embedded stack has none")]
    try:
        client = services.metrics_client()
        return [
            check
            for span in spans
            for check in _metric_checks(services, client, span, [one for one in booked if one.run_key == span.run_key])
        ]
    except ServiceError as error:
        advice = "allow cloudwatch:GetMetricData to compare it"
        return [Check("CloudWatch", not_compared=f"it could not be asked ({error}); {advice}")]


def _run_checks(services: Services, work_uri: str, run_key: str, booked: Sequence[BookedJob]) -> Iterator[Check]:
    ours = {one.arn: one for one in booked}
    try:
        reports = {one.arn: one for one in read_reports(services, f"{work_uri}/{run_folder(run_key)}")}
    except ObjectMissing:
        if ours:
            yield Check(f"run {run_key}", not_compared=f"its working files are gone from {work_uri}")
        return
    for arn in sorted(ours.keys() | reports.keys()):
        yield _one_job(run_key, arn, ours.get(arn), reports.get(arn))


def _one_job(run_key: str, arn: str, booked: BookedJob | None, report: JobReport | None) -> Check:
    about = f"run {run_key}, job {arn.rpartition('/')[2]}"
    if report is None or report.summary is None:
        return Check(about, not_compared="its manifest.json.out is gone, or was never written")
    if booked is None:
        tokens = (report.summary.input_tokens or 0, report.summary.output_tokens or 0)
        return Check(about, (Figure("input tokens", 0, tokens[0]), Figure("output tokens", 0, tokens[1])))
    return check_job(booked, report.summary)


def _model_checks(
    path: Path, model: str, booked: Sequence[BookedDay], days: set[str], run_key: str | None
) -> Iterator[Check]:
    bill = read_bill(path, model)
    covered = [one for one in booked if bill.first <= one.day <= bill.last and one.day in days]
    billed = [one for one in bill.lines if run_key is None or one.day in days]
    yield from check_days(model, covered, billed)
    by_run = defaultdict[str, list[BookedDay]](list)
    for one in covered:
        if run_key in {None, one.run_key}:
            by_run[one.run_key].append(one)
    yield from check_tagged(by_run, bill.lines)
    for usage_type in bill.others:
        yield Check(f"{usage_type} of the bill", not_compared="docbatch does not use the model in this way")
    for day in sorted(days - {one.day for one in covered} & {one.day for one in booked}):
        covers = f"covers {bill.first} to {bill.last}" if bill.first else "has no line"
        yield Check(f"{day}, {model}", not_compared=f"{path} {covers}")


def _metric_checks(
    services: Services, client: MetricsClient, span: Span, booked: Sequence[BookedDay]
) -> Iterator[Check]:
    period = Period(span.started, span.ended, services.clock())
    for model in sorted({one.model for one in booked}):
        known, _ = services.find_model(model)
        for mode in Mode:
            mine = [one for one in booked if one.mode is mode and one.model == model]
            about = f"run {span.run_key}, {mode}, in CloudWatch"
            if not mine:
                continue
            counted = {
                way: client.tokens(mode, way, (known.id, *known.profiles), period) for way in ("input", "output")
            }
            if set(counted.values()) == {None}:
                yield Check(about, not_compared=f"CloudWatch holds nothing of {model} in that time")
                continue
            ours = {way: sum(one.tokens(way) for one in mine) for way in counted}
            yield Check(about, tuple(Figure(f"{way} tokens", ours[way], counted[way]) for way in counted))
