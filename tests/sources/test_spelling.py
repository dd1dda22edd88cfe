"""How sources are said, and what is told of a wrong word."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.sources.spelling import Kind, Scope, absolute_sources, parse_sources, scope_of

HERE = Path.cwd().as_uri()


@pytest.mark.parametrize(
    ("said", "canonical"),
    [
        (["s3://b/in/"], "s3://b/in"),
        (["docs"], f"{HERE}/docs"),
        (["a, b; c"], f"{HERE}/a%2C%20b%3B%20c"),
        (["list:s3://b/uris.csv"], "list:s3://b/uris.csv"),
        (["list:uris.jsonl?uri=path"], f"list:{HERE}/uris.jsonl?uri=path"),
        (["rows:s3://b/t.parquet?id=no&text=the body"], "rows:s3://b/t.parquet?id=no&text=the%20body"),
        (["rows:s3://b/t.csv.gz?extra=a,b"], "rows:s3://b/t.csv.gz?extra=a,b"),
        (["inventory:s3://b/in/bucket/all"], "inventory:s3://b/in/bucket/all"),
        (["s3://b/a", "s3://b/c"], "s3://b/a | s3://b/c"),
        (["s3://b/a | s3://b/c|s3://b/a"], "s3://b/a | s3://b/c"),
        (["s3://b/a\nlist:s3://b/x.csv\n"], "s3://b/a | list:s3://b/x.csv"),
        (["./list:odd"], f"{HERE}/list%3Aodd"),
    ],
)
def test_a_text_has_one_full_form(said: list[str], canonical: str) -> None:
    """However sources are said, they become one text, which reads as the same sources again."""
    assert absolute_sources(*said) == canonical
    assert absolute_sources(canonical) == canonical
    assert " | ".join(map(str, parse_sources(canonical))) == canonical


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("", "an empty place"),
        (" | ", "an empty place|neither"),
        ("ftp://b/in", "neither a folder nor an s3:// prefix"),
        ("rows:gs://b/t.csv", "neither a folder nor an s3:// prefix"),
        ("rows:s3://b/t.xlsx", r"names no file that is read as a table; its name must end in .csv, .tsv"),
        ("list:s3://b/lists", "names no file that is read as a table"),
        ("list:s3://b/t.csv?column=a", "there is no option column; allowed are uri"),
        ("rows:s3://b/t.csv?text", "is not written name=column&name=column"),
        ("inventory:s3://b/x/manifest.json?uri=a", "there is no option uri; inventory: takes none"),
        ("inventory:s3://b/x/other.json", "name the manifest.json of an S3 Inventory"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(said: str, message: str) -> None:
    """What is wrong, and what is allowed instead."""
    with pytest.raises(SettingsError, match=message):
        parse_sources(said)


def test_a_run_speaks_of_its_own_sources_alone() -> None:
    """Prefixes by what is below them, files by what they listed; an inventory whatever its manifest."""
    manifest = "inventory:s3://d/b/all/2026-11-27T01-00Z/manifest.json"
    found = parse_sources(f"s3://b/in | list:s3://b/x.csv?uri=u | rows:s3://b/t.csv | {manifest}")
    assert [one.kind for one in found] == [Kind.PREFIX, Kind.LIST, Kind.ROWS, Kind.INVENTORY]
    origins = ("list:s3://b/x.csv", "rows:s3://b/t.csv", "inventory:s3://d/b/all")
    assert scope_of(found) == Scope(("s3://b/in/", "s3://b/t.csv#"), origins)
    assert scope_of(parse_sources("inventory:s3://d/b/all")).origins == origins[2:]
