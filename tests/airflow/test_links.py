"""Links from tasks to the AWS console: the right page for region and partition, and none where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.airflow.links import JobsLink, ReportLink, TablesLink, add_link, jobs_page, object_page, place_page
from pipeline.local import stack
from tests.airflow.nights import documents, scheduled, states

JOB = "bedrock:{}:123456789012:model-invocation-job/abcdefghijkl"


@pytest.mark.parametrize(
    ("arn", "page"),
    [
        (
            f"arn:aws:{JOB.format('us-west-2')}",
            "https://us-west-2.console.aws.amazon.com/bedrock/home?region=us-west-2#/batch-inference",
        ),
        (
            f"arn:aws-us-gov:{JOB.format('us-gov-west-1')}",
            "https://us-gov-west-1.console.amazonaws-us-gov.com/bedrock/home?region=us-gov-west-1#/batch-inference",
        ),
        ("arn:aws:bedrock:us-west-2:000000000000:model-invocation-job/abcdefghijkl", ""),
        ("", ""),
    ],
)
def test_jobs_are_shown_where_they_are(arn: str, page: str) -> None:
    """The list of batch jobs in the job's own region; a job on this machine has no page."""
    assert jobs_page(arn) == page


@pytest.mark.parametrize(
    ("uri", "region", "page"),
    [
        (
            "s3://bucket/my tables/out",
            "us-west-2",
            "https://us-west-2.console.aws.amazon.com/s3/buckets/bucket?region=us-west-2&prefix=my%20tables/out/"
            "&showversions=false",
        ),
        (
            "s3://bucket/out",
            "cn-north-1",
            "https://cn-north-1.console.amazonaws.cn/s3/buckets/bucket?region=cn-north-1&prefix=out/&showversions=false",
        ),
        ("file:///tmp/out", "us-west-2", ""),
    ],
)
def test_tables_are_shown_where_they_are(uri: str, region: str, page: str) -> None:
    """The prefix in S3's console; a folder has no page."""
    assert place_page(uri, region) == page


@pytest.mark.parametrize(
    ("uri", "page"),
    [
        (
            "s3://bucket/my out/reports/first.html",
            "https://us-west-2.console.aws.amazon.com/s3/object/bucket?region=us-west-2&prefix=my%20out/reports/first.html",
        ),
        ("file:///tmp/out/reports/first.html", ""),
    ],
)
def test_a_report_is_shown_where_it_is(uri: str, page: str) -> None:
    """The object in S3's console, which opens it; a file has no page."""
    assert object_page(uri, "us-west-2") == page


class Elsewhere(JobsLink):
    """As if the jobs of this machine were in an account."""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        super().get_link(operator, ti_key=ti_key)
        return f"https://console/{operator.task_id}/{getattr(operator, 'arn', '')}"


def test_airflow_serves_the_links_of_tasks_that_ran(
    dag: Any, wired: stack.Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Airflow's API reads of a mapped task is what the task has stored, also of one that deferred."""
    for name in ("submit", "wait"):
        operator = dag.get_task(f"round_0.batch.{name}")
        operator.operator_extra_links = ()
        add_link(operator, Elsewhere())
    source = documents(tmp_path / "the documents", 40)
    run = dag.test(run_conf={"source": str(source), "output": str(tmp_path / "out"), "run_key": "linked"})
    assert str(run.state) == "success", states(run)
    from airflow.serialization.serialized_objects import DagSerialization

    monkeypatch.setattr(DagSerialization, "_load_operator_extra_links", True)  # as in the API server
    served = {}
    for one in run.get_task_instances():
        task = scheduled(dag).get_task(one.task_id)
        served[one.task_id] = {name: task.get_extra_links(one, name) for name in task.extra_links}
    assert served["round_0.batch.submit"] == {Elsewhere.name: "https://console/round_0.batch.submit/"}
    waited = served["round_0.batch.wait"][Elsewhere.name]
    assert waited.startswith("https://console/round_0.batch.wait/arn:aws:bedrock:us-west-2:")
    assert served["publish"] == {TablesLink.name: "", ReportLink.name: ""}  # a folder
    assert served["round_0.plan"] == {}
