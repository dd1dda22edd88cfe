"""The object store with faults, as boto3 and obstore see it through the proxy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import obstore
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ResponseStreamingError
from obstore.store import S3Store

from pipeline.local.active_faults import ActiveFaults
from pipeline.local.fault_plan import FaultPlan
from pipeline.local.s3_proxy import faulty_s3
from tests.local.embedded_clients import make_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.local.stack import Stack

KEY = "proxy/with blank and ümlaut (1).txt"
BODY = bytes(range(256)) * 2000


@pytest.fixture(scope="module")
def faults() -> ActiveFaults:
    return ActiveFaults()


@pytest.fixture(scope="module")
def url(stack: Stack, faults: ActiveFaults) -> Iterator[str]:
    with faulty_s3(stack.s3_url, faults) as url:
        yield url


@pytest.fixture
def plan(faults: ActiveFaults) -> Iterator[Callable[..., None]]:
    """What goes wrong with objects from now on, until the test ends."""
    yield lambda *objects: faults.replace(FaultPlan.read(json.dumps({"objects": objects})))
    faults.replace(FaultPlan())


@pytest.fixture
def behind(stack: Stack, url: str, plan: Callable[..., None]) -> Any:
    """boto3's S3 client on the proxy, without retries."""
    return make_client(stack, "s3", url=url)


def _read(client: Any) -> bytes:
    content: bytes = client.get_object(Bucket="docbatch", Key=KEY)["Body"].read()
    return content


def test_without_faults_it_is_not_noticed(behind: Any, s3: Any) -> None:
    """Signed requests of every kind pass: keys with odd characters, listing, ranges, deletion, refusals."""
    behind.put_object(Bucket="docbatch", Key=KEY, Body=BODY)
    assert _read(behind) == _read(s3) == BODY
    assert behind.head_object(Bucket="docbatch", Key=KEY)["ContentLength"] == len(BODY)
    assert behind.get_object(Bucket="docbatch", Key=KEY, Range="bytes=1-3")["Body"].read() == BODY[1:4]
    listed = behind.list_objects_v2(Bucket="docbatch", Prefix="proxy/")["Contents"]
    assert [found["Key"] for found in listed] == [KEY]
    behind.delete_object(Bucket="docbatch", Key=KEY)
    with pytest.raises(behind.exceptions.NoSuchKey):
        _read(behind)


@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_the_first_requests_are_slowed_down(behind: Any, plan: Callable[..., None], method: str) -> None:
    """Two of the method are refused with S3's own 503, and nothing is written; the third passes."""
    calls: dict[str, Callable[[], Any]] = {
        "PUT": lambda: behind.put_object(Bucket="docbatch", Key=KEY, Body=BODY),
        "GET": lambda: _read(behind),
    }
    calls["PUT"]()
    plan({"method": method, "kind": "slow-down", "first": 2})
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            calls[method]()
        assert caught.value.response["Error"]["Code"] == "SlowDown"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    calls[method]()
    assert _read(behind) == BODY


def test_a_body_breaks_off_in_its_middle(behind: Any, plan: Callable[..., None]) -> None:
    """Head and length arrive, half of the bytes too, and then the connection is gone; the next read is whole."""
    behind.put_object(Bucket="docbatch", Key=KEY, Body=BODY)
    plan({"method": "GET", "kind": "reset", "first": 1})
    answer = behind.get_object(Bucket="docbatch", Key=KEY)
    assert answer["ContentLength"] == len(BODY)
    assert answer["Body"].read(1000) == BODY[:1000]
    with pytest.raises(ResponseStreamingError):
        answer["Body"].read()
    assert _read(behind) == BODY


def test_a_write_may_be_done_and_its_answer_lost(behind: Any, s3: Any, plan: Callable[..., None]) -> None:
    """The writer meets a closed connection; the object is there."""
    behind.delete_object(Bucket="docbatch", Key=KEY)
    plan({"method": "PUT", "kind": "reset", "first": 1})
    with pytest.raises(ConnectionClosedError):
        behind.put_object(Bucket="docbatch", Key=KEY, Body=BODY)
    assert _read(s3) == BODY


def test_obstore_reads_through_faults(stack: Stack, url: str, behind: Any, plan: Callable[..., None]) -> None:
    """Its own retries outlast two refusals and a broken body."""
    store = S3Store(
        "docbatch",
        endpoint=url,
        access_key_id=stack.access_key_id,
        secret_access_key=stack.secret_access_key,
        region=stack.region,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    obstore.put(store, KEY, BODY)
    plan({"method": "GET", "kind": "slow-down", "first": 2}, {"method": "GET", "kind": "reset", "first": 3})
    assert bytes(obstore.get(store, KEY).bytes()) == BODY
