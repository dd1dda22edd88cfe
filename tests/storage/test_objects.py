"""Object stores: the same calls on a folder and in memory, any name, and errors of ours."""

from __future__ import annotations

import datetime as dt
import errno
import io
import os
import re
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import AccessDenied, ObjectChanged, ObjectExists, ObjectMissing, SettingsError, StorageError
from pipeline.storage.objects import READ_BYTES, ObjectStore, S3Access, absolute_uri, open_store

ACCESS = S3Access("us-west-2")
Open = Callable[[], ObjectStore]
NAMES = [
    "plain.txt",
    "with blank.txt",
    "100%.txt",
    "a%20b.txt",
    "a+b&c=d.txt",
    "x#y?z.txt",
    "quo'te\".txt",
    "emoji 🎉.txt",
    "ünï/çödé.txt",
    "[x]{y}~`^|<>*.txt",
    "back\\slash.txt",
    " leading.txt",
    "..hidden.txt",
    "deep/er/and deeper/ü%.txt",
]


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Both kinds that need no network."""
    if request.param == "memory":
        return ObjectStore.in_memory()
    return open_store(absolute_uri(str(tmp_path / "a folder 100%")), ACCESS, make=True)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_comes_back(store: ObjectStore, name: str) -> None:
    """A key is written, listed, read and turned into a uri and back as it is."""
    store.write(name, name.encode())
    assert [entry.key for entry in store.list()] == [name]
    assert store.read(name) == name.encode()
    assert store.key(store.uri(name)) == name
    assert store.exists(name)


def test_names_on_disk_are_the_names(tmp_path: Path) -> None:
    """Files that somebody else put into a folder are found under their own names, and a uri opens them."""
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    store = open_store(tmp_path.as_uri(), ACCESS)
    assert {entry.key for entry in store.list()} == set(NAMES)
    for entry in store.list():
        assert store.read(entry.key).decode() == entry.key
        assert store.uri(entry.key) == (tmp_path / entry.key).as_uri()


def test_listing_tells_size_time_and_version(store: ObjectStore) -> None:
    """A listing below a folder has its objects alone; an ETag has no quotes and changes with the object."""
    store.write("a/1", b"12345")
    store.write("a/2/3", b"")
    store.write("ab/4", b"x")
    found = {entry.key: entry for entry in store.list("a")}
    assert found.keys() == {"a/1", "a/2/3"}
    assert found["a/1"].size_bytes == 5
    assert found["a/1"].last_modified.tzinfo == dt.UTC
    assert '"' not in found["a/1"].etag
    store.write("a/1", b"another")
    assert next(entry for entry in store.list("a") if entry.key == "a/1").etag != found["a/1"].etag
    assert list(store.list("nothing/here")) == []


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=8), st.booleans())
def test_lines_are_what_stands_between_line_ends(lines: list[bytes], ended: bool) -> None:
    """Every line comes once and without its end; a last line needs none."""
    store = ObjectStore.in_memory()
    store.write("x", b"\n".join(lines) + (b"\n" if ended and lines else b""))
    expected = lines if ended or not lines or lines[-1] else lines[:-1]
    assert list(store.lines("x")) == expected


def test_lines_across_pieces(store: ObjectStore) -> None:
    """A line may begin and end in any piece, span several, and end exactly where one does."""
    lines = [
        b"a" * (READ_BYTES - 1),
        b"b" * READ_BYTES,
        b"",
        b"c" * (3 * READ_BYTES + 7),
        "ü".encode() * READ_BYTES,
        b"d",
    ]
    store.write("x", io.BytesIO(b"\n".join(lines)))
    pieces = list(store.stream("x"))
    assert len(pieces) > 1 or store.uri().startswith("memory:")  # memory has no reason to cut
    assert b"".join(pieces) == b"\n".join(lines) == store.read("x")
    assert list(store.lines("x")) == lines


def test_only_the_first_creates(store: ObjectStore) -> None:
    """A conditional write finds what is there and leaves it; an ordinary one replaces it."""
    store.write("x", b"1", create=True)
    with pytest.raises(ObjectExists, match="x: already exists"):
        store.write("x", b"2", create=True)
    assert store.read("x") == b"1"
    store.write("x", b"3")
    assert store.read("x") == b"3"


@pytest.mark.parametrize("read", [ObjectStore.read, lambda s, k: list(s.stream(k)), lambda s, k: list(s.lines(k))])
def test_a_missing_object_is_named(store: ObjectStore, read: Callable[[ObjectStore, str], object]) -> None:
    """The error is ours and holds the whole uri."""
    with pytest.raises(ObjectMissing) as raised:
        read(store, "not/there 1")
    assert str(raised.value) == f"{store.uri('not/there 1')}: not found"
    assert not store.exists("not/there 1")


class Forbidding:
    """A vendor store that lets nobody read."""

    def get(self, key: str) -> object:
        raise PermissionError(13, "Permission denied", key)


def test_a_forbidden_object_is_named() -> None:
    """An object that may not be read is AccessDenied with its uri."""
    store = ObjectStore(Forbidding(), "s3://bucket/in")  # type: ignore[arg-type] # as much of a store as is asked
    with pytest.raises(AccessDenied, match="s3://bucket/in/x: access denied"):
        store.read("x")


class Full:
    """A folder on a disk that takes nothing more; as in `Folder`, it is a temporary file that is named."""

    def __init__(self, number: int) -> None:
        self._number = number

    def put(self, key: str, _content: bytes, **_how: object) -> None:
        raise OSError(self._number, os.strerror(self._number), f"/out/.docbatch-{key}")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "(No space left on device); make room there, and repeat the command"),
        (errno.EDQUOT, "(Disk quota exceeded); make room there, and repeat the command"),
        (errno.EROFS, "(Read-only file system); let its disk be written, and repeat the command"),
    ],
)
def test_a_disk_that_takes_nothing_is_told(number: int, told: str) -> None:
    """The message names the place and what to do, and no temporary file."""
    store = ObjectStore(Full(number), "file:///out")  # type: ignore[arg-type] # as much of a store as is asked
    with pytest.raises(StorageError) as raised:
        store.write("night.html", b"x", content_type="text/html")
    assert str(raised.value) == f"file:///out/night.html: cannot be written {told}"


def test_other_errors_are_ours_and_short(tmp_path: Path) -> None:
    """What the vendor says beyond the reason is left out; the uri stands in front."""
    (tmp_path / "file").touch()
    store = open_store(tmp_path.as_uri(), ACCESS)
    with pytest.raises(StorageError) as raised:
        store.write("file/below", b"x")
    assert str(raised.value).startswith(store.uri("file/below"))
    assert "Debug source" not in str(raised.value)
    with pytest.raises(StorageError, match="file/below"):
        open_store((tmp_path / "file" / "below").as_uri(), ACCESS, make=True)


def test_a_uri_of_another_store_is_refused() -> None:
    """A key is only taken from a uri below the store, not from one that begins alike."""
    store = ObjectStore.in_memory("s3://bucket/in")
    assert store.key("s3://bucket/in/a%20b c") == "a%20b c"
    assert store.uri() == "s3://bucket/in"
    for other in ("s3://bucket/input/a", "s3://bucket/in", "s3://other/in/a"):
        with pytest.raises(StorageError, match="does not lie below s3://bucket/in"):
            store.key(other)


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder becomes an absolute file: uri, an s3:// prefix stays, anything else is refused."""
    monkeypatch.chdir(tmp_path)
    assert absolute_uri("some folder") == (tmp_path / "some folder").as_uri()
    assert absolute_uri("s3://bucket/a/") == "s3://bucket/a"
    with pytest.raises(SettingsError, match="'gs://bucket': neither a folder nor an s3:// prefix"):
        absolute_uri("gs://bucket")


@pytest.mark.parametrize("uri", ["http://x/y", "s3://", "s3:/bucket", "file:", "folder"])
def test_a_uri_of_no_store_is_refused(uri: str) -> None:
    """Only s3:// with a bucket and file:// with a path can be opened."""
    with pytest.raises(SettingsError, match="neither a folder nor an s3:// prefix"):
        open_store(uri, ACCESS)


def test_a_folder_must_be_one(tmp_path: Path) -> None:
    """A folder that is not there is missing unless it may be made; a file is no folder."""
    with pytest.raises(ObjectMissing, match="there is no such folder"):
        open_store((tmp_path / "gone").as_uri(), ACCESS)
    (tmp_path / "file.txt").touch()
    with pytest.raises(SettingsError, match="is a file; name a folder"):
        open_store((tmp_path / "file.txt").as_uri(), ACCESS)
    assert list(open_store((tmp_path / "new").as_uri(), ACCESS, make=True).list()) == []


def test_keys_are_not_shown() -> None:
    """The representation of how to reach S3 has no secret."""
    assert "hidden" not in repr(S3Access("r", None, "id", "hidden"))


KEY_NAMED = re.compile(r"Credential=([^/]+)/")


@pytest.fixture
def bucket() -> Iterator[tuple[str, list[str]]]:
    """A server that has no object; its url, and the access keys with which it was asked."""
    asked: list[str] = []

    class Empty(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            named = KEY_NAMED.search(self.headers["Authorization"])
            asked.append(named[1] if named else "")
            self.send_error(404)

        def log_message(self, *_what: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def with_profile(folder: Path, monkeypatch: pytest.MonkeyPatch, valid_minutes: int) -> None:
    """Credentials from a program that gives other keys at each call, K1, K2 and so on, valid for so long."""
    program = folder / "keys.py"
    program.write_text(
        "import datetime as dt, json, pathlib\n"
        f"calls = pathlib.Path({str(folder / 'calls')!r})\n"
        "count = int(calls.read_text()) + 1 if calls.exists() else 1\n"
        "calls.write_text(str(count))\n"
        f"end = dt.datetime.now(dt.timezone.utc) + dt.timedelta(minutes={valid_minutes})\n"
        "keys = {'AccessKeyId': f'K{count}', 'SecretAccessKey': 's', 'SessionToken': 't'}\n"
        "print(json.dumps({'Version': 1, **keys, 'Expiration': end.isoformat()}))\n"
    )
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(program))}"
    (folder / "config").write_text(f"[default]\ncredential_process = {command}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))


@pytest.mark.parametrize(("valid_minutes", "seen"), [(60, ["K1", "K1", "K1"]), (5, ["K2", "K3", "K4"])])
def test_credentials_are_looked_for_once_and_renewed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bucket: tuple[str, list[str]],
    valid_minutes: int,
    seen: list[str],
) -> None:
    """Stores opened one after the other share what boto3's chain found, until it is about to expire."""
    with_profile(tmp_path, monkeypatch, valid_minutes)
    url, asked = bucket
    for number in range(3):
        assert not open_store(f"s3://bucket/{number}", S3Access("us-west-2", url)).exists("x")
    assert asked == seen
    assert (tmp_path / "calls").read_text() == seen[-1].removeprefix("K")


@pytest.mark.parametrize("profile", [None, "elsewhere"])
def test_missing_credentials_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str | None) -> None:
    """Neither keys nor a profile, or one that is not there: an error of ours that says what to set."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    if profile:
        monkeypatch.setenv("AWS_PROFILE", profile)
    with pytest.raises(SettingsError, match=r"S3: no AWS credentials .*, or DOCBATCH_BACKEND=local"):
        open_store("s3://bucket/in", ACCESS)


def test_a_version_is_replaced_once() -> None:
    """Of two who read the same version, the first to replace it wins; nothing is no version either."""
    store = ObjectStore.in_memory()
    store.write("a", b"1")
    content, etag = store.read_version("a")
    assert content == b"1"
    later = store.replace("a", b"2", etag)
    assert store.read_version("a") == (b"2", later)
    with pytest.raises(ObjectChanged, match="memory://store/a: was changed"):
        store.replace("a", b"3", etag)
    assert store.read("a") == b"2"
    with pytest.raises(ObjectChanged):
        store.replace("b", b"3", etag)
    with pytest.raises(ObjectMissing):
        store.read_version("b")


def test_a_folder_cannot_replace_on_condition(tmp_path: Path) -> None:
    """It says so, and leaves the file alone."""
    store = open_store(absolute_uri(str(tmp_path)), ACCESS)
    store.write("a", b"1")
    with pytest.raises(StorageError, match="needs S3"):
        store.replace("a", b"2", "any")
    assert store.read("a") == b"1"
