"""What S3 refuses for a whole bucket: a sentence that names the bucket and what to check, through every client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.catalog.translation import translated
from pipeline.errors import AccessDenied, BucketMissing, BucketRefused, ObjectMissing, SettingsError, StorageError
from pipeline.storage.objects import ObjectStore, S3Access, open_store
from pipeline.storage.refusals import refusal

# Bucket, and what S3 answers to whatever is asked of it; what is said.
ANSWERS: dict[str, tuple[int, str, type[StorageError], str]] = {
    "missing": (404, "NoSuchBucket", BucketMissing, "there is no such bucket; check its name"),
    "misnamed": (400, "InvalidBucketName", BucketMissing, "no bucket can have that name"),
    "denied": (403, "AccessDenied", AccessDenied, "access denied; check the credentials, and that their policy"),
    "stranger": (403, "InvalidAccessKeyId", BucketRefused, "S3 does not know the access key"),
    "unsigned": (403, "SignatureDoesNotMatch", BucketRefused, "the secret key does not fit"),
    "expired": (400, "ExpiredToken", StorageError, "the credentials have expired; sign in again"),
    "moved": (
        301,
        "PermanentRedirect",
        BucketMissing,
        "it is in another region than docbatch asks; set DOCBATCH_REGION",
    ),
    "elsewhere": (400, "AuthorizationHeaderMalformed", BucketMissing, "set DOCBATCH_REGION"),
    "odd": (418, "Teapot", StorageError, "S3 answered 418"),
}


class Refusing(BaseHTTPRequestHandler):
    """Refuses everything, by the bucket."""

    def do_GET(self) -> None:
        status, code, _, _ = ANSWERS[self.path.split("/")[1].split("?")[0]]
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *_what: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("bucket", ANSWERS)
@pytest.mark.parametrize(
    ("place", "ask"),
    [
        ("", lambda store: list(store.list())),
        ("/runs", lambda store: store.folders("runs")),
        ("/a", lambda store: store.read("a")),
        ("/a", lambda store: store.write("a", b"x")),
    ],
    ids=["list", "folders", "read", "write"],
)
def test_a_refused_bucket_is_named_with_what_to_check(
    url: str, bucket: str, place: str, ask: Callable[[ObjectStore], object]
) -> None:
    """No word of the client's own: where it was, which bucket, what happened and what to do."""
    _, _, kind, said = ANSWERS[bucket]
    store = open_store(f"s3://{bucket}/in", S3Access("us-west-2", url, "id", "secret"))
    with pytest.raises(StorageError) as raised:
        ask(store)
    assert type(raised.value) is kind
    message = str(raised.value)
    assert message.startswith(f"s3://{bucket}/in{place}: bucket {bucket}: ")
    assert said in message
    assert not any(word in message for word in ("Generic", "Error performing", "<", "\n"))


def test_an_unreachable_s3_is_told_as_such() -> None:
    """What obstore says after its repetitions becomes what to look at."""
    said = "Generic S3 error: Error performing GET http://x in 2s, after 10 retries - HTTP error: error sending request"
    found = refusal("s3://bucket/in", said)
    assert str(found).startswith("s3://bucket/in: bucket bucket: S3 could not be reached; check the network")


@pytest.mark.parametrize(
    ("said", "kind", "meaning"),
    [
        ("AWS Error NO_SUCH_BUCKET during CreateMultipartUpload operation", BucketMissing, "there is no such bucket"),
        (
            "AWS Error ACCESS_DENIED during PutObject operation: no",
            AccessDenied,
            "access denied; check the credentials",
        ),
        ("AWS Error UNKNOWN (HTTP status 301) during HeadObject", BucketMissing, "set DOCBATCH_REGION"),
        ("AWS Error NETWORK_CONNECTION during HeadObject operation", StorageError, "S3 could not be reached"),
    ],
)
def test_the_catalog_says_it_in_the_same_words(said: str, kind: type[StorageError], meaning: str) -> None:
    """Iceberg reaches S3 through Arrow, which has its own spelling."""
    with pytest.raises(StorageError) as raised, translated("catalog of s3://tables/night, runs"):
        raise OSError(f"When testing: {said}")
    assert type(raised.value) is kind
    assert str(raised.value).startswith("catalog of s3://tables/night, runs: bucket tables: ")
    assert meaning in str(raised.value)


@pytest.mark.parametrize(
    ("where", "said"),
    [("file:///a", "<Code>AccessDenied</Code>"), ("s3://bucket/a", "the disk is full"), ("memory://store/a", "")],
)
def test_what_is_about_no_bucket_is_left_as_it_is(where: str, said: str) -> None:
    """Local folders and other errors keep their own words."""
    assert refusal(where, said) is None


def test_an_object_that_is_missing_is_no_missing_bucket() -> None:
    """The same status, and another code."""
    said = "Object at location a not found: status code: 404 Not Found: <Code>NoSuchKey</Code>"

    class Empty:
        def get(self, _key: str) -> object:
            raise FileNotFoundError(said)

    with pytest.raises(ObjectMissing, match=r"^s3://bucket/a: not found$"):
        ObjectStore(Empty(), "s3://bucket").read("a")  # type: ignore[arg-type] # as much of a store as is asked


def test_missing_credentials_are_told_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that is not there, or no credentials at all, is a wrong setting with a way out."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(
        SettingsError, match=r"no AWS credentials were found \(.*nobody.*\); sign in or set AWS_PROFILE"
    ):
        open_store("s3://bucket", S3Access("us-west-2"))
