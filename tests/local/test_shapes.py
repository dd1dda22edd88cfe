"""Every constraint of botocore's model is checked, in the service's words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.local import shapes
from pipeline.local.faults import Fault

_PATTERN = "Member must satisfy regular expression pattern: "
_NAME_PATTERN = r"[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9\+\-\.]){0,63}"

_RULES = [
    ({"jobName": "a_b"}, f"Value 'a_b' at 'jobName' failed to satisfy constraint: {_PATTERN}{_NAME_PATTERN}"),
    ({"jobName": "manual__2026:01"}, f"Value 'manual__2026:01' at 'jobName' failed to satisfy constraint: {_PATTERN}"),
    ({"jobName": "a" * 64}, "at 'jobName' failed to satisfy constraint: Member must have length less than or equal to 63"),
    ({"jobName": ""}, "Value '' at 'jobName' failed to satisfy constraint: Member must have length greater than or equal to 1"),
    ({"jobName": None}, "Value null at 'jobName' failed to satisfy constraint: Member must not be null"),
    ({"jobName": 7}, "Value at 'jobName' failed to satisfy constraint: Member must be of type string"),
    ({"roleArn": "role"}, "Value 'role' at 'roleArn' failed to satisfy constraint: Member must satisfy regular"),
    ({"clientRequestToken": "a b"}, f"Value 'a b' at 'clientRequestToken' failed to satisfy constraint: {_PATTERN}"),
    ({"timeoutDurationInHours": 23}, "Member must have value greater than or equal to 24"),
    ({"timeoutDurationInHours": 169}, "Member must have value less than or equal to 168"),
    ({"timeoutDurationInHours": True}, "Member must be of type integer"),
    ({"modelInvocationType": "Stream"}, "Member must satisfy enum value set: [Converse, InvokeModel]"),
    ({"vpcConfig": {"subnetIds": []}}, "Value null at 'vpcConfig.securityGroupIds'"),
    ({"vpcConfig": {"subnetIds": ["a", "b_"], "securityGroupIds": ["c"]}}, "Value 'b_' at 'vpcConfig.subnetIds.2.member'"),
    ({"tags": [{"key": "", "value": "v"}]}, "Value '' at 'tags.1.member.key' failed"),
    ({"inputDataConfig": {}}, "at 'inputDataConfig' failed to satisfy constraint: Member must have exactly one of"),
    ({"inputDataConfig": {"s3InputDataConfig": {}}}, "Value null at 'inputDataConfig.s3InputDataConfig.s3Uri'"),
    *(
        ({"outputDataConfig": {"s3OutputDataConfig": {"s3Uri": uri}}}, f"Value '{uri}' at 'outputDataConfig.")
        for uri in ("s3://b/x", "s3://bucket/a b", "s3://bucket/a=b", "s3://bucket/a+b", "s3://bucket/a//b", "s3://bucket/ä", "s3://bucket/a%20b", "s3://bucket/a:b", "http://bucket/a")
    ),
    *(
        ({"modelId": f"arn:aws:bedrock:us-west-2:123456789012:{kind}/abcdefghijkl"}, "at 'modelId' failed to satisfy")
        for kind in ("provisioned-model", "imported-model", "custom-model-deployment")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "expected"), _RULES)
def test_a_broken_constraint_is_named(job_request: dict[str, Any], changed: dict[str, Any], expected: str) -> None:
    """The message counts the errors and says which value at which member breaks which rule."""
    with pytest.raises(Fault) as caught:
        shapes.check("bedrock", "CreateModelInvocationJob", job_request | changed)
    assert caught.value.code == "ValidationException"
    assert "validation error" in caught.value.message
    assert expected in caught.value.message


def test_all_broken_constraints_are_told_at_once(job_request: dict[str, Any]) -> None:
    """Two mistakes make one message of two parts."""
    with pytest.raises(Fault, match=r"^ValidationException: 2 validation errors detected: .*'jobName'.*; .*'roleArn'"):
        shapes.check("bedrock", "CreateModelInvocationJob", job_request | {"jobName": "_", "roleArn": "x"})


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"jobName": "nightly-2026-01-01T00-00-00+00.x"},
        {"modelId": "us.meta.llama3-1-8b-instruct-v1:0"},
        {"modelId": "arn:aws:bedrock:us-west-2::foundation-model/meta.llama3-1-8b-instruct-v1:0"},
        {"modelId": "arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.meta.llama3-1-8b-instruct-v1:0"},
        {"timeoutDurationInHours": 24, "tags": [{"key": "team", "value": ""}]},
        {"clientRequestToken": "7" * 256},
    ],
)
def test_what_the_model_allows_passes(job_request: dict[str, Any], changed: dict[str, Any]) -> None:
    """No constraint is invented."""
    shapes.check("bedrock", "CreateModelInvocationJob", job_request | changed)


def test_a_run_of_dashes_is_refused_without_delay(job_request: dict[str, Any]) -> None:
    """The service's own pattern takes exponential time on this name in a backtracking matcher; the test's limit is the proof."""
    with pytest.raises(Fault, match="jobName"):
        shapes.check("bedrock", "CreateModelInvocationJob", job_request | {"jobName": "a" + "-" * 61 + "_"})


@given(st.text(alphabet="aZ9-+._: ", min_size=1, max_size=9))
def test_the_atomic_pattern_accepts_the_same_names(name: str) -> None:
    """On names short enough for the original pattern, both agree."""
    import re

    assert shapes._matches(_NAME_PATTERN, name) == (re.fullmatch(_NAME_PATTERN, name) is not None)
