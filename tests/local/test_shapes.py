"""Every constraint of botocore's model is checked, in the service's words."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.local import shapes
from pipeline.local.faults import Fault

_PATTERN = "Member must satisfy regular expression pattern: "
_NAME_PATTERN = r"[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9\+\-\.]){0,63}"

_BREAKS = "failed to satisfy constraint: Member must"
_BAD_URIS = ["s3://b/x", "s3://bucket/a b", "s3://bucket/a=b", "s3://bucket/a+b", "s3://bucket/a//b", "s3://bucket/ä"]
_BAD_URIS += ["s3://bucket/a%20b", "s3://bucket/a:b", "http://bucket/a"]
_BAD_ARNS = [
    f"arn:aws:bedrock:us-west-2:123456789012:{kind}/abcdefghijkl"
    for kind in ("provisioned-model", "imported-model", "custom-model-deployment")
]
_RULES: list[tuple[dict[str, Any], str]] = [
    ({"jobName": "a_b"}, f"Value 'a_b' at 'jobName' failed to satisfy constraint: {_PATTERN}{_NAME_PATTERN}"),
    ({"jobName": "manual__2026:01"}, f"Value 'manual__2026:01' at 'jobName' failed to satisfy constraint: {_PATTERN}"),
    ({"jobName": "a" * 64}, f"at 'jobName' {_BREAKS} have length less than or equal to 63"),
    ({"jobName": ""}, f"Value '' at 'jobName' {_BREAKS} have length greater than or equal to 1"),
    ({"jobName": None}, f"Value null at 'jobName' {_BREAKS} not be null"),
    ({"jobName": 7}, f"Value at 'jobName' {_BREAKS} be of type string"),
    ({"roleArn": "role"}, f"Value 'role' at 'roleArn' failed to satisfy constraint: {_PATTERN}"),
    ({"clientRequestToken": "a b"}, f"Value 'a b' at 'clientRequestToken' failed to satisfy constraint: {_PATTERN}"),
    ({"timeoutDurationInHours": 23}, f"Value '23' at 'timeoutDurationInHours' {_BREAKS} have value greater than or"),
    ({"timeoutDurationInHours": 169}, f"Value '169' at 'timeoutDurationInHours' {_BREAKS} have value less than or"),
    ({"timeoutDurationInHours": True}, f"Value at 'timeoutDurationInHours' {_BREAKS} be of type integer"),
    ({"modelInvocationType": "Stream"}, f"{_BREAKS} satisfy enum value set: [Converse, InvokeModel]"),
    ({"vpcConfig": {"subnetIds": []}}, f"Value null at 'vpcConfig.securityGroupIds' {_BREAKS} not be null"),
    ({"vpcConfig": {"subnetIds": [], "securityGroupIds": ["c"]}}, f"at 'vpcConfig.subnetIds' {_BREAKS} have length"),
    (
        {"vpcConfig": {"subnetIds": ["a", "_"], "securityGroupIds": ["c"]}},
        "Value '_' at 'vpcConfig.subnetIds.2.member'",
    ),
    ({"tags": [{"key": "", "value": "v"}]}, f"Value '' at 'tags.1.member.key' {_BREAKS} have length greater than"),
    ({"inputDataConfig": {}}, f"Value at 'inputDataConfig' {_BREAKS} have exactly one of ['s3InputDataConfig'] set"),
    ({"inputDataConfig": {"s3InputDataConfig": {}}}, "Value null at 'inputDataConfig.s3InputDataConfig.s3Uri'"),
    *(
        ({"outputDataConfig": {"s3OutputDataConfig": {"s3Uri": uri}}}, f"Value '{uri}' at 'outputDataConfig.s3Output")
        for uri in _BAD_URIS
    ),
    *(({"modelId": arn}, f"Value '{arn}' at 'modelId' failed to satisfy constraint: {_PATTERN}") for arn in _BAD_ARNS),
]


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
    """A backtracking matcher takes exponential time on this name; that the test ends at all is the proof."""
    with pytest.raises(Fault, match="jobName"):
        shapes.check("bedrock", "CreateModelInvocationJob", job_request | {"jobName": "a" + "-" * 61 + "_"})


@given(st.text(alphabet="aZ9-+._: ", min_size=1, max_size=9))
def test_the_atomic_pattern_accepts_the_same_names(name: str) -> None:
    """On names short enough for the original pattern, both agree."""
    assert shapes._matches(_NAME_PATTERN, name) == (re.fullmatch(_NAME_PATTERN, name) is not None)
