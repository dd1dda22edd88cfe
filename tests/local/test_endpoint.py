"""The endpoint as unmodified boto3 sees it, over HTTP and with a real S3 server behind it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.local.embedded_clients import MODEL, input_lines, wait_for_end

if TYPE_CHECKING:
    from collections.abc import Callable


def _put(s3: Any, job_request: dict[str, Any], body: bytes) -> str:
    """Write the job's input; gives the prefix of its output."""
    key = job_request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].removeprefix("s3://docbatch/")
    s3.put_object(Bucket="docbatch", Key=key, Body=body)
    return str(job_request["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"]).removeprefix("s3://docbatch/")


def _read(s3: Any, key: str) -> bytes:
    content: bytes = s3.get_object(Bucket="docbatch", Key=key)["Body"].read()
    return content


def test_a_job_runs_to_completed_and_its_output_joins_by_record_id(
    s3: Any, bedrock: Any, job_request: dict[str, Any]
) -> None:
    """Every record comes back once, in another order, with its own input echoed; the totals are the sums."""
    prefix = _put(s3, job_request, input_lines(150))
    arn = bedrock.create_model_invocation_job(**job_request)["jobArn"]
    job = wait_for_end(bedrock, arn)
    folder = f"{prefix}{arn.rpartition('/')[2]}/"
    records = [json.loads(line) for line in _read(s3, folder + "in.jsonl.out").splitlines()]
    assert job["status"] == "Completed"
    assert [record["recordId"] for record in records] != [f"r{n}" for n in range(150)]
    by_id = {record["recordId"]: record for record in records}
    assert sorted(by_id) == sorted(f"r{n}" for n in range(150))
    assert all(by_id[f"r{n}"]["modelInput"] == {"prompt": f"Count to {n}."} for n in range(150))
    outputs = [record["modelOutput"] for record in records]
    assert set(outputs[0]) == {"generation", "prompt_token_count", "generation_token_count", "stop_reason", "engine"}
    assert {output["engine"] for output in outputs} == {"baseline"}
    assert json.loads(_read(s3, folder + "manifest.json.out")) == {
        "totalRecordCount": 150,
        "processedRecordCount": 150,
        "successRecordCount": 150,
        "errorRecordCount": 0,
        "inputTokenCount": sum(output["prompt_token_count"] for output in outputs),
        "outputTokenCount": sum(output["generation_token_count"] for output in outputs),
    }
    assert (job["totalRecordCount"], job["successRecordCount"], job["errorRecordCount"]) == (150, 150, 0)


def test_a_job_says_submitted_first_and_counts_nothing_yet(s3: Any, bedrock: Any, job_request: dict[str, Any]) -> None:
    """Right after Create the job is not done, and its counters are 0."""
    _put(s3, job_request, input_lines(120))
    arn = bedrock.create_model_invocation_job(**job_request)["jobArn"]
    job = bedrock.get_model_invocation_job(jobIdentifier=arn.rpartition("/")[2])
    assert job["status"] in {"Submitted", "Validating"}
    assert (job["totalRecordCount"], job["processedRecordCount"]) == (0, 0)
    assert "endTime" not in job
    assert wait_for_end(bedrock, arn)["endTime"] >= job["submitTime"]


def test_too_few_records_fail_after_create(s3: Any, bedrock: Any, job_request: dict[str, Any]) -> None:
    """A job of one record is created without complaint, and fails in validation in Bedrock's words."""
    _put(s3, job_request, input_lines(1))
    job = wait_for_end(bedrock, bedrock.create_model_invocation_job(**job_request)["jobArn"])
    assert job["status"] == "Failed"
    assert job["message"] == "Batch job contains less records (1) than the required minimum of: 100"


def test_an_input_that_is_not_there_fails_the_job(bedrock: Any, job_request: dict[str, Any]) -> None:
    """The message names the location that held nothing."""
    job = wait_for_end(bedrock, bedrock.create_model_invocation_job(**job_request)["jobArn"])
    assert job["status"] == "Failed"
    assert job_request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"] in job["message"]


def test_a_seen_token_gives_the_first_job(bedrock: Any, job_request: dict[str, Any]) -> None:
    """The second Create with the same clientRequestToken starts nothing, whatever its other members say."""
    token = "token-of-this-test"
    first = bedrock.create_model_invocation_job(**job_request, clientRequestToken=token)
    second = bedrock.create_model_invocation_job(**job_request | {"jobName": "other"}, clientRequestToken=token)
    other = bedrock.create_model_invocation_job(**job_request)
    assert first["jobArn"] == second["jobArn"] != other["jobArn"]


def test_list_filters_and_pages(bedrock: Any, job_request: dict[str, Any]) -> None:
    """nameContains, statusEquals, the time filters, the order and nextToken select what they say."""
    arns = [bedrock.create_model_invocation_job(**job_request | {"jobName": f"listed-{n}"})["jobArn"] for n in range(5)]
    for arn in arns:
        wait_for_end(bedrock, arn)

    def listed(**filters: Any) -> list[str]:
        pages = bedrock.get_paginator("list_model_invocation_jobs").paginate(nameContains="listed-", **filters)
        return [job["jobArn"] for page in pages for job in page["invocationJobSummaries"]]

    first = bedrock.get_model_invocation_job(jobIdentifier=arns[0])["submitTime"]
    assert listed() == arns[::-1]
    assert listed(sortOrder="Ascending", PaginationConfig={"PageSize": 2}) == arns
    assert listed(statusEquals="Failed", PaginationConfig={"PageSize": 1}) == arns[::-1]
    assert listed(statusEquals="Completed") == []
    assert listed(submitTimeBefore=first) == []
    assert sorted(listed(submitTimeAfter=first)) == sorted(arns[1:])
    page = bedrock.list_model_invocation_jobs(nameContains="listed-", maxResults=3)
    assert len(page["invocationJobSummaries"]) == 3
    assert page["nextToken"]


@pytest.mark.parametrize("token", ["abc", "é", "YWZ0ZXI6", "YWZ0ZXI6OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"])
def test_a_page_that_nobody_was_given_is_refused(bedrock: Any, token: str) -> None:
    """A nextToken that is no token, or names no place that can be, is the caller's mistake and not the server's."""
    with pytest.raises(bedrock.exceptions.ValidationException, match="nextToken is invalid"):
        bedrock.list_model_invocation_jobs(nextToken=token)


def test_stop_ends_a_job_and_an_ended_job_cannot_be_stopped(s3: Any, bedrock: Any, job_request: dict[str, Any]) -> None:
    """Stopping passes into Stopped; a second Stop after that is a conflict."""
    _put(s3, job_request, input_lines(5000))
    arn = bedrock.create_model_invocation_job(**job_request)["jobArn"]
    bedrock.stop_model_invocation_job(jobIdentifier=arn)
    assert bedrock.get_model_invocation_job(jobIdentifier=arn)["status"] in {"Stopping", "Stopped"}
    assert wait_for_end(bedrock, arn)["status"] == "Stopped"
    with pytest.raises(bedrock.exceptions.ConflictException):
        bedrock.stop_model_invocation_job(jobIdentifier=arn)


def test_an_unknown_job_is_not_found(bedrock: Any) -> None:
    """Get and Stop of an id that no job has give 404."""
    for call in (bedrock.get_model_invocation_job, bedrock.stop_model_invocation_job):
        with pytest.raises(bedrock.exceptions.ResourceNotFoundException) as caught:
            call(jobIdentifier="abcdefghijkl")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


@pytest.mark.parametrize("model", ["meta.llama3-1-8b-instruct-v10", "meta.llama9-8b-instruct-v1:0"])
def test_an_unknown_model_is_refused_at_create(bedrock: Any, job_request: dict[str, Any], model: str) -> None:
    """The id passes the pattern, so it is the service that refuses it."""
    with pytest.raises(bedrock.exceptions.ValidationException, match=r"The provided model identifier is invalid\."):
        bedrock.create_model_invocation_job(**job_request | {"modelId": model})


def test_a_bad_location_is_refused_in_the_words_of_the_service(bedrock: Any, job_request: dict[str, Any]) -> None:
    """boto3 lets a hive path pass; the endpoint does not, and names member, value and pattern."""
    config = {"s3InputDataConfig": {"s3Uri": "s3://docbatch/dt=2026-01-01/in.jsonl"}}
    with pytest.raises(bedrock.exceptions.ValidationException) as caught:
        bedrock.create_model_invocation_job(**job_request | {"inputDataConfig": config})
    message = caught.value.response["Error"]["Message"]
    assert message.startswith(
        "1 validation error detected: Value 's3://docbatch/dt=2026-01-01/in.jsonl' at "
        "'inputDataConfig.s3InputDataConfig.s3Uri' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: s3://"
    )


def test_tags_of_a_job_are_listed(bedrock: Any, s3: Any, job_request: dict[str, Any]) -> None:
    """ListTagsForResource gives what CreateModelInvocationJob was given, and nothing of a job without tags."""
    tags = [{"key": "docbatch-run", "value": "night"}, {"key": "docbatch-analyses", "value": "sentiment+urgency"}]
    for given in (tags, []):
        arn = bedrock.create_model_invocation_job(**job_request | {"tags": given})["jobArn"]
        assert bedrock.list_tags_for_resource(resourceARN=arn)["tags"] == given
    with pytest.raises(bedrock.exceptions.ResourceNotFoundException):
        bedrock.list_tags_for_resource(resourceARN=arn[:-12] + "a" * 12)


@pytest.mark.parametrize("service", ["bedrock", "bedrock-runtime"])
def test_another_access_key_is_refused(client: Callable[..., Any], service: str) -> None:
    """A request signed with keys of a real account is turned away with 403."""
    stranger = client(service, access_key_id="AKIAIOSFODNN7EXAMPLE")
    requests = {
        "bedrock": lambda: stranger.list_model_invocation_jobs(),
        "bedrock-runtime": lambda: stranger.invoke_model(modelId=MODEL, body=b"{}"),
    }
    with pytest.raises(ClientError) as caught:
        requests[service]()
    assert caught.value.response["Error"]["Code"] == "UnrecognizedClientException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize("prefix", ["", "us.", "arn:aws:bedrock:us-west-2::foundation-model/"])
def test_invoke_model_answers_with_counts_in_body_and_headers(client: Callable[..., Any], prefix: str) -> None:
    """Ids, profiles and ARNs reach the same model; the headers repeat the counts of the body."""
    answer = client("bedrock-runtime").invoke_model(
        modelId=prefix + MODEL, body=json.dumps({"prompt": "This is a test sentence."})
    )
    body = json.loads(answer["body"].read())
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert body == {
        "generation": "This is a test sentence.",
        "prompt_token_count": 6,
        "generation_token_count": 7,
        "stop_reason": "stop",
        "engine": "baseline",
    }
    assert headers["x-amzn-bedrock-input-token-count"] == "6"
    assert headers["x-amzn-bedrock-output-token-count"] == "7"


def test_invoke_model_refuses_a_wrong_body(client: Callable[..., Any]) -> None:
    """The exception's class and message are Bedrock's own."""
    runtime = client("bedrock-runtime")
    with pytest.raises(runtime.exceptions.ValidationException) as caught:
        runtime.invoke_model(modelId=MODEL, body=json.dumps({"messages": []}))
    assert caught.value.response["Error"]["Message"] == (
        "Malformed input request: #: required key [prompt] not found#: extraneous key [messages] is not permitted, "
        "please reformat your input and try again."
    )


def test_an_operation_that_does_not_exist_is_named(client: Callable[..., Any]) -> None:
    """What this endpoint does not offer is a 404 with a name, not a page of HTML."""
    with pytest.raises(ClientError, match="UnknownOperationException"):
        client("bedrock").list_foundation_models()
