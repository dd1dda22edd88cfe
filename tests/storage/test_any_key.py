"""Objects of S3 by whatever key they have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.config import Config
from botocore.session import Session

from pipeline.errors import AccessDenied, BucketRefused, ObjectMissing, StorageError
from pipeline.storage.any_key import AnyKey, KeyRefused
from pipeline.storage.objects import ObjectStore, S3Access, open_store
from pipeline.storage.refusals import refusal
from tests.odd_bucket import BUCKET, ODD, ODDEST, odd_bucket

NAMES = ODD + ODDEST
REFUSED = "refused/../../x"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server with an object of every name, at the root of its bucket and below a prefix."""
    contents = {name: f"The text of {name!r}.".encode() for name in NAMES}
    with odd_bucket(
        {f"{prefix}{name}": content for prefix in ("", "in/", "in//odd\n/") for name, content in contents.items()}
        | {"in/": b"", "marker/": b""},
        frozenset({REFUSED}),
    ) as url:
        yield url


def store(url: str, prefix: str, bucket: str = BUCKET) -> ObjectStore:
    return open_store(f"s3://{bucket}{prefix}", S3Access("us-west-2", url, "id", "secret"))


@pytest.mark.parametrize("prefix", ["", "/in", "/in//odd\n"])
def test_every_key_is_listed_and_read_as_it_is(url: str, prefix: str) -> None:
    """Neither mended nor taken for another: the object that is read is the one that was listed."""
    opened = store(url, prefix)
    listed = {entry.key: entry for entry in opened.list_any()}
    assert {key for key in listed if not key.startswith(("in/", "marker/", "/odd"))} == set(NAMES)
    for name in NAMES:
        content = f"The text of {name!r}.".encode()
        assert opened.read(name) == b"".join(opened.stream(name)) == content, name
        assert opened.describe(name) == listed[name], name
        assert opened.read_document(name, len(content)) == content, name
        assert opened.read_document(name, len(content) - 1) is None, name
        assert opened.exists(name)
        assert opened.key(opened.uri(name)) == name
    assert len({opened.uri(name) for name in NAMES}) == len(NAMES)


def test_an_odd_key_that_is_not_there_is_missing(url: str) -> None:
    """As any other is."""
    with pytest.raises(ObjectMissing, match=r"s3://letters/in/no//such: not found"):
        store(url, "/in").read("no//such")
    assert not store(url, "/in").exists("no//such")


def test_a_key_that_s3_does_not_take_is_told(url: str) -> None:
    """It is denied, and the cause says with which words."""
    with pytest.raises(AccessDenied) as raised:
        store(url, "").read(REFUSED)
    assert isinstance(raised.value.__cause__, KeyRefused)
    assert str(raised.value.__cause__) == "S3 takes the key for none: 400 InvalidURI"


def test_nothing_is_written_below_an_odd_prefix(url: str) -> None:
    """A place for tables or working files is refused with a reason; a message holds no control character."""
    with pytest.raises(AccessDenied, match=r"^s3://letters/a//b%0A/x: docbatch writes below no prefix with `//`"):
        store(url, "/a//b\n").write("x", b"")


def test_a_bucket_that_is_not_there_is_told_as_ever(url: str) -> None:
    """A listing by any key speaks of the bucket as the other one does."""
    with pytest.raises(BucketRefused, match="there is no such bucket"):
        store(url, "", "other").read("a//b")
    with pytest.raises(BucketRefused, match="there is no such bucket"):
        list(store(url, "", "other").list_any())


def test_an_s3_that_is_not_there_is_told_as_ever() -> None:
    """In the words for the other client."""
    once = Config(retries={"total_max_attempts": 1})
    session = Session()
    session.set_credentials("id", "secret")
    client = session.create_client("s3", "us-west-2", endpoint_url="http://127.0.0.1:9", config=once)
    with pytest.raises(OSError, match="error sending request: Could not connect") as raised:
        list(AnyKey(BUCKET, "", lambda: client).list())
    assert "S3 could not be reached" in str(refusal("s3://letters", str(raised.value)))


def test_a_listing_that_is_no_xml_is_told() -> None:
    """A server that does not encode keys may write what no reader of XML takes."""
    with odd_bucket({"\x01": b""}, encodes=False) as url, pytest.raises(StorageError, match="listing that is no XML"):
        list(store(url, "").list_any())
