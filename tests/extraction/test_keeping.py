"""Texts are kept by the bytes that gave them: found again by anybody, and never instead of another text."""

from __future__ import annotations

import gzip

import pytest

from pipeline.domain import Failure, Reason
from pipeline.extraction import Bounds, Text, extract
from pipeline.extraction.keeping import KeptTexts
from pipeline.storage.objects import ObjectStore
from tests.extraction import office, single
from tests.extraction.stories import STORIES
from tests.extraction.test_formats import WRITERS

BOUNDS = Bounds()
PDF = single.story_pdf(STORIES["hi"])


def kept(store: ObjectStore, bounds: Bounds = BOUNDS, *pairs: tuple[bytes, str]) -> None:
    """The documents read and kept."""
    with KeptTexts(store, bounds) as texts:
        for content, name in pairs:
            texts.keep(content, name, extract(content, name, bounds))


@pytest.mark.parametrize("form", sorted(WRITERS.keys() - {"html", "csv", "json"}))
def test_what_was_read_is_found(form: str) -> None:
    """Under any name of the same ending, by another process, with all that was known of it."""
    store, content = ObjectStore.in_memory(), WRITERS[form](STORIES["de"])
    kept(store, BOUNDS, (content, f"s3://b/x.{form}"))
    assert KeptTexts(store, BOUNDS).find(content, f"file:///other/y.{form}") == extract(content, "x")


@pytest.mark.parametrize("content", [single.locked_pdf(), single.scanned_pdf(), PDF[:900], b"OggS\0"])
def test_lasting_failures_are_kept(content: bytes) -> None:
    """What the same bytes give each time: encrypted, without text, damaged, not read."""
    store = ObjectStore.in_memory()
    kept(store, BOUNDS, (content, "x"))
    found = KeptTexts(store, BOUNDS).find(content, "x")
    assert isinstance(found, Failure)
    assert found == extract(content, "x")


@pytest.mark.parametrize("reason", [Reason.EXCEEDED, Reason.CRASHED])
def test_failures_of_the_machine_are_not_kept(reason: Reason) -> None:
    """Time, memory and crashes may be others the next time."""
    store = ObjectStore.in_memory()
    with KeptTexts(store, BOUNDS) as texts:
        texts.keep(PDF, "x.pdf", Failure(reason, "seen"))
    assert list(store.list()) == []


def test_plain_text_is_not_kept() -> None:
    """To read it is cheaper than to look for it."""
    store = ObjectStore.in_memory()
    kept(store, BOUNDS, (b"plain", "x.txt"), (single.page(STORIES["en"]), "x.html"))
    assert list(store.list()) == []


def test_what_decides_the_text_is_in_the_key() -> None:
    """Other bytes, other bounds, or an ending by which packed text is told, give another entry."""
    store, table = ObjectStore.in_memory(), gzip.compress(b"a,b\n1,2\n", mtime=0)
    kept(store, BOUNDS, (PDF, "x.pdf"), (table, "x.csv.gz"))
    texts = KeptTexts(store, BOUNDS)
    assert texts.find(PDF + b"\n", "x.pdf") is None
    assert KeptTexts(store, Bounds(output_bytes=7)).find(PDF, "x.pdf") is None
    assert KeptTexts(store, Bounds(unpacked_bytes=7)).find(PDF, "x.pdf") is None
    assert texts.find(table, "x.md.gz") is None
    found = texts.find(table, "y.csv.gz")
    assert isinstance(found, Text)
    assert found.form == "csv"
    assert KeptTexts(store, Bounds(seconds=7)).find(PDF, "x.pdf") is not None


@pytest.mark.parametrize("spoilt", [b"", b"nonsense", b"\x28\xb5\x2f\xfd\x00", "half", "flipped"])
def test_a_spoilt_entry_is_read_again_and_mended(spoilt: bytes | str) -> None:
    """Whatever lies at its place, reading goes on as if there were nothing."""
    store = ObjectStore.in_memory()
    kept(store, BOUNDS, (PDF, "x.pdf"))
    (entry,) = store.list()
    whole = store.read(entry.key)
    half = {"half": whole[: len(whole) // 2], "flipped": whole[:60] + bytes([whole[60] ^ 1]) + whole[61:]}
    store.write(entry.key, half[spoilt] if isinstance(spoilt, str) else spoilt)
    assert KeptTexts(store, BOUNDS).find(PDF, "x.pdf") is None
    kept(store, BOUNDS, (PDF, "x.pdf"))
    assert store.read(entry.key) == whole


def test_without_a_store_nothing_is_kept() -> None:
    """Then everything is read each time."""
    with KeptTexts(None, BOUNDS) as texts:
        texts.keep(PDF, "x.pdf", extract(PDF, "x.pdf"))
        assert texts.find(PDF, "x.pdf") is None


def test_many_are_kept_at_once() -> None:
    """More than are written at once or may wait."""
    store = ObjectStore.in_memory()
    documents = [(office.zipped({"a": str(number)}), "x.zip") for number in range(150)]
    kept(store, BOUNDS, *documents)
    assert len(list(store.list())) == 150
