"""Links from a task to the AWS console: the jobs of Bedrock, and the tables and the report of a published run."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink

# Domain of the console by partition; each region has a name below it.
DOMAINS = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
EMBEDDED_ACCOUNT = "000000000000"  # of jobs on this machine, which no console shows
_JOB = re.compile(r"arn:(aws[^:]*):bedrock:([^:]+):(\d{12}):model-invocation-job/[^/]+")


def jobs_page(arn: str) -> str:
    """Where the console lists the batch jobs of a job's region; empty for one that no console shows.

    AWS documents no address of a single job: the list has its name, which is in the log.
    """
    found = _JOB.fullmatch(arn)
    if not found or found[3] == EMBEDDED_ACCOUNT or found[1] not in DOMAINS:
        return ""
    return f"https://{found[2]}.{DOMAINS[found[1]]}/bedrock/home?region={found[2]}#/batch-inference"


def place_page(uri: str, region: str) -> str:
    """Where the console shows an s3:// prefix; empty for a local folder."""
    parts = urlsplit(uri)
    if parts.scheme != "s3":
        return ""
    prefix = quote(uri.removeprefix(f"s3://{parts.netloc}").strip("/") + "/")
    domain = DOMAINS[partition_of(region)]
    return f"https://{region}.{domain}/s3/buckets/{parts.netloc}?region={region}&prefix={prefix}&showversions=false"


def object_page(uri: str, region: str) -> str:
    """Where the console shows one object, and opens it; empty for a local file."""
    parts = urlsplit(uri)
    if parts.scheme != "s3":
        return ""
    key = quote(uri.removeprefix(f"s3://{parts.netloc}/"))
    return f"https://{region}.{DOMAINS[partition_of(region)]}/s3/object/{parts.netloc}?region={region}&prefix={key}"


def partition_of(region: str) -> str:
    """The partition that a region lies in."""
    return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"


class JobsLink(BaseOperatorLink):
    """Of a task that starts a job (its XCom is the ARN) or waits for one (it has the ARN)."""

    name = "Batch jobs in the AWS console"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        arn = getattr(operator, "arn", None)
        return jobs_page((arn if isinstance(arn, str) else _returned(ti_key)) or "")


class TablesLink(BaseOperatorLink):
    """Of the task that publishes: its XCom says where."""

    name = "Published tables in the S3 console"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
        return str((_returned(ti_key) or {}).get("tables_page") or "")


class ReportLink(BaseOperatorLink):
    """Of the same task: its report, which the console opens."""

    name = "Report in the S3 console"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
        return str((_returned(ti_key) or {}).get("report_page") or "")


def _returned(ti_key: Any) -> Any:
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.get_value(ti_key=ti_key, key="return_value")


def add_link(task: Any, link: BaseOperatorLink) -> None:
    """Airflow keeps a link when the operator itself has it; the page is stored when the task has run or deferred."""
    operator = getattr(task, "operator", task)
    operator.operator_extra_links = (*operator.operator_extra_links, link)
