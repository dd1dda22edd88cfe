"""The frozen values: ids that are derived, statuses that end, advice for every reason."""

from __future__ import annotations

import datetime as dt
import re

import botocore.session
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain import Document, Job, JobStatus, Reason, Usage, short_hash
from pipeline.settings import Settings


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_a_hash_tells_its_parts_apart(left: list[str], right: list[str]) -> None:
    """Different parts have different hashes, also when they run into the same text; any text has one."""
    assert (short_hash(*left) == short_hash(*right)) == (left == right)
    assert re.fullmatch("[0-9a-f]{24}", short_hash(*left))


def test_a_hash_is_the_same_everywhere() -> None:
    """The ids in tables that are already published stay: the rule does not change."""
    assert short_hash("a", "b") == "3c9d591045bc8876f9d0399b"


def test_a_changed_document_keeps_its_id() -> None:
    """The id follows the uri alone."""
    day = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    one, two = Document("s3://b/a", "1", 5, day), Document("s3://b/a", "2", 6, day + dt.timedelta(1))
    assert one.document_id == two.document_id != Document("s3://b/b", "1", 5, day).document_id


def test_every_reason_has_advice_that_names_real_settings() -> None:
    """No failure row is without advice, and the variables that the advice names exist."""
    advice = [reason.advice for reason in Reason]
    assert len(set(advice)) == len(advice) > 5
    named = re.findall(r"DOCBATCH_([A-Z_]+)", " ".join(advice))
    assert named
    assert {name.lower() for name in named} <= Settings.model_fields.keys()


def test_the_statuses_are_bedrocks() -> None:
    """botocore's service model declares exactly these, and a job that has ended is not going to change."""
    shape = botocore.session.get_session().get_service_model("bedrock").shape_for("ModelInvocationJobStatus")
    assert {status.value for status in JobStatus} == set(shape.enum)
    assert {status for status in JobStatus if not status.ended} == {
        *(JobStatus.SUBMITTED, JobStatus.VALIDATING, JobStatus.SCHEDULED, JobStatus.IN_PROGRESS, JobStatus.STOPPING)
    }


def test_the_id_of_a_job_ends_its_arn() -> None:
    """The output folder is named after the 12 characters behind the last slash."""
    arn = "arn:aws:bedrock:us-west-2:123456789012:model-invocation-job/a1b2c3d4e5f6"
    assert Job(arn, "n", JobStatus.SUBMITTED, None, 0, 0).job_id == "a1b2c3d4e5f6"


def test_usage_adds_both_kinds() -> None:
    """Input and output are added apart."""
    assert Usage(1, 2) + Usage(10, 20) == Usage(11, 22)
