"""`docbatch show --where`, `export` and `views`, as they are typed, on a folder with nothing running."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl
import pytest

from tests.loaded_shell import LoadedShell
from tests.shell import User, own_environment
from tests.tables.conftest import FORMULA
from tests.world import World

Typed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def typed(world: World) -> Iterator[Typed]:
    """A command, whose words are given one by one, about the output of the three nights."""
    shell = LoadedShell(own_environment())
    user = User(world.folder, world.folder / "home", shell)
    yield lambda *words: user.types(shlex.join([*words, "--output", str(world.output)]), COLUMNS="200")
    shell.close()


def test_show_takes_a_condition(typed: Typed) -> None:
    """Of the rows that it would show, those for which it holds, at most as many as the limit."""
    told = typed(
        "show", "sentiment", "--where", "not current_prompt and not deleted", "--limit", "5", "--format", "json"
    )
    assert told.returncode == 0, told.stderr
    (row,) = map(json.loads, told.stdout.splitlines())
    assert row["uri"].endswith("lease.txt")


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("mood = 'glad'", "column"),
        ("true; drop table runs", "where = true; drop table runs: Parser Error"),
        ("true limit 1", "Parser Error"),
        ("true) or (true", "Parser Error"),
        ("uri = (select content from read_text('/etc/hostname'))", "file system operations are disabled"),
        ("uri in (select uri from '/etc/hostname')", "Table with name /etc/hostname does not exist"),
        ("score > 'high'", "Could not convert string 'high'"),
    ],
)
def test_a_wrong_condition_is_told_with_the_columns(typed: Typed, condition: str, said: str) -> None:
    """It is one condition: no second statement, no file, no other clause; exit code 2, on one line."""
    told = typed("show", "sentiment", "--where", condition)
    assert (told.returncode, told.stdout) == (2, "")
    (line,) = told.stderr.splitlines()
    assert said in line
    assert re.search(r"columns are document_id, uri, .*sentiment, score, .*, cost_usd, deleted, current_prompt$", line)


def test_an_export_carries_no_formula_of_a_document(typed: Typed, tmp_path: Path) -> None:
    """A summary that a document brought the model to write is text in both files, beside real numbers."""
    for ending in ("csv", "xlsx"):
        told = typed("export", "summarization", "--to", str(tmp_path / f"rows.{ending}"))
        assert (told.returncode, told.stdout) == (0, ""), told.stderr
        assert told.stderr == (
            f"9 rows of summarization in {tmp_path}/rows.{ending} (the newest of each document; --all-runs for all)\n"
        )
    text = (tmp_path / "rows.csv").read_text("utf-8-sig")
    rows = {row["uri"].rpartition("/")[2]: row for row in csv.DictReader(io.StringIO(text, newline=""))}
    assert rows["defiant.txt"]["summary"] == f"'{FORMULA}"
    assert rows["defiant.txt"]["key_points"] == '["+1", "a;\'=1+1"]'
    sheet = openpyxl.load_workbook(tmp_path / "rows.xlsx").active
    assert sheet is not None
    head, *cells = sheet.iter_rows()
    place = {cell.value: number for number, cell in enumerate(head)}
    (defiant,) = [row for row in cells if str(row[place["uri"]].value).endswith("defiant.txt")]
    summary = defiant[place["summary"]]
    assert (summary.value, summary.data_type, summary.quotePrefix) == (FORMULA, "s", True)
    assert {row[place["cost_usd"]].data_type for row in cells} == {"n"}
    assert {row[place["run_date"]].data_type for row in cells} == {"d"}


def test_an_export_is_narrowed_as_show_is(typed: Typed, tmp_path: Path) -> None:
    """By run, by a condition, and as of a run; a wrong name or condition leaves no file."""
    path = tmp_path / "rows.csv"
    for words, count in [
        (("documents", "--run-key", "monday", "--where", "failure is null"), 6),
        (("sentiment", "--as-of", "monday"), 6),
        (("runs",), 3),
    ]:
        told = typed("export", *words, "--to", str(path), "--no-bom")
        assert told.returncode == 0, told.stderr
        assert len(path.read_text("utf-8").splitlines()) == 1 + count
        path.unlink()
    for words, code, said in [
        (("sentiment", "--to", "rows.ods"), 2, "to = rows.ods: the name must end in .csv or .xlsx"),
        (("sentiment", "--to", str(path), "--where", "score > 'high'"), 2, "Could not convert string"),
        (("sentimant", "--to", str(path)), 1, "sentimant: nothing is published there; published tables are"),
        (("sentiment", "--to", str(tmp_path / "no/rows.csv")), 2, "no/rows.csv: cannot be written: No such file"),
    ]:
        told = typed("export", *words)
        assert told.returncode == code
        assert said in told.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "head"),
    [
        (("documents",), "10 rows (the newest of each document; --all-runs for all)"),
        (("documents", "--run-key", "tuesday"), "6 rows (of run tuesday)"),
        (("documents", "--all-runs"), "22 rows (of all runs)"),
        (("failures",), "6 rows (of the newest run wednesday; --all-runs for all)"),
        (("failures", "--as-of", "monday"), "3 rows (of the newest run monday; --all-runs for all)"),
        (("runs",), "3 rows (of all runs)"),
    ],
)
def test_rows_say_whose_they_are(typed: Typed, tmp_path: Path, words: tuple[str, ...], head: str) -> None:
    """`show` and `export` name the run, or say that every document is there, and how to get other rows."""
    told = typed("show", *words)
    assert told.stdout.splitlines()[0] == head, told.stderr
    path = tmp_path / "rows.csv"
    count, _, whose = head.partition(" (")
    assert typed("export", *words, "--to", str(path)).stderr == f"{count} of {words[0]} in {path} ({whose}\n"


def test_views_for_athena_are_printed(typed: Typed, world: World) -> None:
    """A view for each analysis in the database of the catalog; with athena-files, the tables before them."""
    views, both = (typed("views", "--for", who).stdout for who in ("athena", "athena-files"))
    assert [line for line in views.splitlines() if line.startswith("create")] == [
        f'create or replace view "docbatch"."{name}_latest" as'
        for name in ("classification", "documents", "sentiment", "summarization")
    ]
    assert both.endswith(views)
    assert f"location '{world.output}/tables/ledger/'" in both
