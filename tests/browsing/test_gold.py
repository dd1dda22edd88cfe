"""Gold labels: rows that are only ever added, and that nothing deletes."""

from __future__ import annotations

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from pipeline.browsing.gold import Label, Verdict, add_label, canonical, holding, read_labels
from pipeline.browsing.results import Results
from pipeline.catalog.reading import list_tables, open_views, read_table, shown_rows
from pipeline.steps.withdrawing import withdraw
from pipeline.tidying import expire_snapshots, tidy_runs
from tests.published import START
from tests.tidying.scenes import later
from tests.world import TODAY, WORK_URI, World

LABEL = Label(
    document_id="0" * 24,
    uri="file:///documents/a.txt",
    analysis="classification",
    content_hash="1" * 24,
    verdict=Verdict.WRONG,
    answer='{"category":"news"}',
    corrected='{"category":"minutes"}',
    note="It is a protocol.",
    marked_by="tester",
    marked=START,
    run_key="night",
    method_id="2" * 24,
    prompt_fingerprint="3" * 64,
    model="canned",
)


def add(world: World, *labels: Label) -> None:
    uri = world.output.absolute().as_uri()
    for label in labels:
        with world.services.catalog(uri) as catalog:
            add_label(catalog, world.services.open(uri), label)


def labels(world: World) -> list[Label]:
    with world.services.catalog(world.output.absolute().as_uri()) as catalog:
        return read_labels(catalog)


def test_a_label_is_read_as_it_was_stored(small: World) -> None:
    """Through the catalog, by pandas from the bare files, and by DuckDB, the same values."""
    nameless = replace(LABEL, document_id="4" * 24, verdict=Verdict.RIGHT, corrected=None, note=None, marked_by=None)
    add(small, LABEL, nameless)
    assert labels(small) == [LABEL, nameless]
    frame = pd.read_parquet(small.output / "tables" / "gold").sort_values("document_id")
    assert frame["verdict"].tolist() == ["wrong", "right"]
    assert json.loads(frame["corrected"].iloc[0]) == {"category": "minutes"}
    assert frame["marked"].iloc[0] == pd.Timestamp(START)
    place = f"{small.output}/tables/gold/**/*.parquet"
    counted = duckdb.sql(f"select verdict, count(*) from read_parquet('{place}') group by all order by 1").fetchall()
    assert counted == [("right", 1), ("wrong", 1)]


def test_analysts_find_the_table(small: World) -> None:
    """It is listed, read and shown as the others are, and is no analysis."""
    add(small, LABEL)
    with small.services.catalog(small.output.absolute().as_uri()) as catalog:
        assert list_tables(catalog)["gold"] == ["night"]
        assert read_table(catalog, "gold", "night").num_rows == 1
        assert shown_rows(catalog, "gold").column("note").to_pylist() == ["It is a protocol."]
        with open_views(catalog) as views:
            assert views.execute("select verdict from gold").fetchall() == [("wrong",)]


def test_a_label_is_stored_once(small: World) -> None:
    """The very same label again adds nothing."""
    add(small, LABEL, LABEL)
    assert labels(small) == [LABEL]


def test_labels_of_many_at_once_are_all_stored(small: World) -> None:
    """Whoever marks at the same moment, for the first time too, loses nothing."""
    many = [replace(LABEL, note=str(number)) for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: add(small, one), many))
    assert sorted(one.note or "" for one in labels(small)) == [str(number) for number in range(8)]


def test_labels_stay(small: World) -> None:
    """A later run with its sweep, and tidying after months, delete no label."""
    add(small, LABEL, replace(LABEL, note="again"))
    before = labels(small)
    later(small, days=90)
    small.put("d.txt", "A new document.")
    small.run("second", day=TODAY)
    uri = small.output.absolute().as_uri()
    later(small, days=90)
    assert tidy_runs(small.services, WORK_URI)
    assert expire_snapshots(small.services, uri).snapshots["gold"] == 1
    later(small, days=90)
    small.put("e.txt", "Another new document.")
    small.run("third", day=TODAY)
    assert labels(small) == before
    assert len(before) == 2


def test_the_table_forgets_how_it_became(small: World, tmp_path: Path) -> None:
    """Every so many labels the snapshots of before go, and no label with them."""
    uri = small.output.absolute().as_uri()
    results = Results(small.services, uri, tmp_path, forget_after=3)
    moments = [START + dt.timedelta(hours=hour) for hour in range(7)]
    for hour, moment in enumerate(moments):
        results.mark(replace(LABEL, note=str(hour), marked=moment + dt.timedelta(days=1_000)))
    with small.services.catalog(uri) as catalog:
        left = len(catalog.superseded("gold", moments[-1] + dt.timedelta(days=2_000)))
    assert left < 3
    assert len(labels(small)) == len(moments)


def test_labels_stay_when_their_run_is_withdrawn(small: World) -> None:
    """They are what people said of a text, whatever becomes of the answer."""
    add(small, LABEL)
    withdraw(small.services, f"{WORK_URI}/runs/night")
    assert labels(small) == [LABEL]
    with small.services.catalog(small.output.absolute().as_uri()) as catalog:
        assert catalog.run_keys("classification") == set()


def test_the_newest_label_holds() -> None:
    """Of one document, analysis and text the last; another text has a label of its own."""
    newer = replace(LABEL, verdict=Verdict.RIGHT, marked=START + dt.timedelta(seconds=1))
    other = replace(LABEL, content_hash="5" * 24)
    assert holding([LABEL, other, newer]) == {newer.about: newer, other.about: other}


@pytest.mark.parametrize(
    ("label", "answer", "said"),
    [
        (LABEL, '{"category":"news"}', Verdict.WRONG),
        (LABEL, '{"category":"minutes"}', Verdict.RIGHT),
        (LABEL, '{"category":"other"}', Verdict.WRONG),
        (replace(LABEL, corrected=None), '{"category":"other"}', None),
        (replace(LABEL, verdict=Verdict.RIGHT, corrected=None), '{"category":"news"}', Verdict.RIGHT),
        (replace(LABEL, verdict=Verdict.RIGHT, corrected=None), '{"category":"other"}', Verdict.WRONG),
    ],
)
def test_a_label_judges_other_answers_too(label: Label, answer: str, said: Verdict | None) -> None:
    """A later answer about the same text is right when it is the known one; unknown stays unknown."""
    assert label.on(answer) == said


@pytest.mark.parametrize(
    ("one", "other"),
    [({"a": 1, "b": None}, {"a": 1.0}), ({"a": 1, "b": [{"c": None, "d": 2}]}, {"b": [{"d": 2}], "a": 1})],
)
def test_equal_answers_have_one_form(one: dict[str, object], other: dict[str, object]) -> None:
    """Order, absent fields and whole numbers make no difference."""
    assert canonical(one) == canonical(other)
    assert canonical(one) != canonical({"a": 2})
    assert canonical(None) is None
