"""The questions of docs/questions.md: each runs on published tables, in DuckDB as it stands and in Athena's SQL."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlglot

from pipeline.tables import Tables
from tests.dictionary import DOCS

_QUESTION = re.compile(r"^## (\d+)\. (.*?)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
_SQL = re.compile(r"```sql\n(.*?)```", re.DOTALL)
QUESTIONS = {
    f"{number}. {title}": _SQL.findall(text)
    for number, title, text in _QUESTION.findall((DOCS / "questions.md").read_text("utf-8"))
}
EVERY_QUESTION = pytest.mark.parametrize("question", QUESTIONS)
EMPTY_HERE = {"9. How much was paid for nothing?"}  # these three nights had no such case


def asked(opened: Tables, query: str) -> list[tuple[Any, ...]]:
    return opened.sql(query).duckdb().fetchall()


def from_athena(query: str) -> str:
    """The query as DuckDB says it. Raises ParseError for what is not Athena's SQL."""
    (translated,) = sqlglot.transpile(query, read="athena", write="duckdb", error_level=sqlglot.ErrorLevel.RAISE)
    return translated


def test_there_are_twelve() -> None:
    """None is lost to the pattern that finds them, and each has one SQL or two."""
    assert len(QUESTIONS) == 12
    assert {len(queries) for queries in QUESTIONS.values()} == {1, 2}


@EVERY_QUESTION
def test_every_question_has_an_answer(opened: Tables, question: str) -> None:
    """DuckDB answers with rows; Athena's SQL, translated, gives the same ones."""
    queries = QUESTIONS[question]
    found = asked(opened, queries[0])
    assert bool(found) == (question not in EMPTY_HERE)
    assert asked(opened, from_athena(queries[-1])) == found


def test_the_answers_are_right(opened: Tables) -> None:
    """What the three nights did is what the tables say of them."""
    answers = {int(question.split(".")[0]): asked(opened, queries[0]) for question, queries in QUESTIONS.items()}
    assert sum(count for _, count in answers[1]) == 8  # six with a text on Monday, less the deleted one, and three more
    assert [(failures, documents) for _, _, failures, documents, _ in answers[5]] == [(6, 2)]
    assert [uri.rpartition("/")[2] for uri, *_ in answers[6]] == ["lease.txt"]
    assert [row[1:] for row in answers[10]] == [
        ("monday", 7, 0, 0, 1),
        ("tuesday", 3, 1, 1, 1),
        ("wednesday", 0, 1, 0, 2),
    ]
