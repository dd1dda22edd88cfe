"""A folder as an object store: any file name, nothing that is no document, writes that are whole or not there."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import AccessDenied, ObjectExists, ObjectMissing
from pipeline.storage.objects import ObjectStore, S3Access, open_store

NAMES = [
    "tab\there.txt",
    "line\nbreak.txt",
    "back\\slash",
    "..hidden",
    "%2e%2e",
    "a\x01b",
    os.fsdecode(b"latin-\xe9.txt"),
]


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(tmp_path.as_uri(), S3Access("us-west-2"))


@pytest.mark.parametrize("name", NAMES)
def test_any_name_that_a_disk_allows(store: ObjectStore, tmp_path: Path, name: str) -> None:
    """A file is listed, has a uri of printable characters, and is read by it."""
    (tmp_path / name).write_bytes(b"text")
    (listed,) = store.list()
    uri = store.uri(listed.key)
    assert uri.isascii()
    assert uri.isprintable()
    assert store.read(store.key(uri)) == b"text"


def test_what_is_no_document_is_not_listed(store: ObjectStore, tmp_path: Path) -> None:
    """Pipes would block a reader for ever, links to folders may not end; a broken link is a vanished document."""
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    (tmp_path / "broken.txt").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(tmp_path / "pipe")
    assert [entry.key for entry in store.list()] == ["a.txt", "broken.txt", "link.txt"]
    with pytest.raises(ObjectMissing, match=r"broken\.txt: is a link to a file that is not there"):
        store.read("broken.txt")


def test_a_folder_goes_with_its_last_file(store: ObjectStore, tmp_path: Path) -> None:
    """As in S3: what held nothing but the file, up to the store itself, which stays."""
    for key in ("a/b/one.txt", "a/two.txt"):
        store.write(key, b"text")
    store.delete("a/b/one.txt")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["two.txt"]
    store.delete("a/two.txt")
    assert list(tmp_path.iterdir()) == []


def test_writers_and_deleters_of_one_folder_do_not_disturb_each_other(store: ObjectStore) -> None:
    """A folder that is removed for being empty is made again by whoever writes into it."""

    def write_and_delete(number: int) -> None:
        for _ in range(200):
            store.write(f"deep/er/{number}.txt", b"text")
            store.delete(f"deep/er/{number}.txt")

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write_and_delete, range(4))) == [None] * 4
    assert list(store.list()) == []


def test_a_write_that_fails_leaves_nothing(store: ObjectStore, tmp_path: Path) -> None:
    """Neither half a file nor what was written beside its place."""
    store.write("a.txt", b"first", create=True)
    with pytest.raises(ObjectExists):
        store.write("a.txt", b"second", create=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert store.read("a.txt") == b"first"


def test_a_changed_file_has_another_etag(store: ObjectStore, tmp_path: Path) -> None:
    """The etag follows size and time of change; the same file keeps it."""
    path = tmp_path / "a.txt"
    path.write_text("one")
    os.utime(path, ns=(1, 1_000_000_000))
    (before,) = store.list()
    assert [before] == list(store.list())
    os.utime(path, ns=(1, 2_000_000_000))
    (after,) = store.list()
    assert before.etag != after.etag


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pipe", "is no file, but a folder, a pipe or a device"),
        ("folder", "is no file, but a folder, a pipe or a device"),
        ("zero", "is no file, but a folder, a pipe or a device"),
        ("out.txt", "leads out of the source folder"),
    ],
)
def test_only_a_file_of_the_folder_is_a_document(tmp_path: Path, name: str, message: str) -> None:
    """A pipe would block, a device may not end, and a link may lead to what nobody meant to send."""
    root = tmp_path / "source"
    (root / "folder").mkdir(parents=True)
    os.mkfifo(root / "pipe")
    (root / "zero").symlink_to("/dev/zero")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "out.txt").symlink_to(tmp_path / "secret.txt")
    store = open_store(root.as_uri(), S3Access("us-west-2"))
    with pytest.raises(AccessDenied, match=message):
        store.read_document(name, 1_000, inside=name == "out.txt")


def test_a_document_is_read_up_to_a_limit(store: ObjectStore, tmp_path: Path) -> None:
    """Of a larger one nothing is given, whatever was listed; a link within the folder is followed."""
    (tmp_path / "a.txt").write_bytes(b"12345")
    (tmp_path / "link.txt").symlink_to("a.txt")
    assert store.read_document("link.txt", 5, inside=True) == b"12345"
    assert store.read_document("a.txt", 4) is None


@pytest.mark.parametrize("key", ["a.txt/b", "n" * 300, "loop", "none"])
def test_a_name_that_leads_nowhere_is_missing(store: ObjectStore, tmp_path: Path, key: str) -> None:
    """Below a file, longer than names are, a circle of links: there is no such file, and the disk is well."""
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ObjectMissing):
        store.describe(key)
    with pytest.raises(ObjectMissing):
        store.read_document(key, 5, inside=True)
