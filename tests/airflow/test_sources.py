"""The DAG over several sources, with what is wanted chosen in its form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import ParamValidationError

from pipeline.airflow.form import make_params
from pipeline.airflow.orders import read_params
from pipeline.errors import SettingsError
from pipeline.local import stack
from pipeline.settings import Settings
from tests.airflow.nights import documents, row_of_run, states
from tests.airflow.test_form import Night


def test_the_dag_reads_several_sources(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """A folder and the rows of a table, some left out by patterns; the next night asks nothing."""
    folder, table = documents(tmp_path / "the letters", 3), tmp_path / "tickets.jsonl"
    rows = [{"no": number, "body": f"Ticket {number} of {tmp_path.name} is about a kettle."} for number in range(4)]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    conf = {
        "source": f"{folder}\nrows:{table}?id=no&text=body",
        "output": str(tmp_path / "out"),
        "exclude": ["empty.*", "*01.txt"],
        "analyses": ["sentiment"],
    }
    for key in ("sources-monday", "sources-tuesday"):
        run = dag.test(run_conf=conf | {"run_key": key})
        assert str(run.state) == "success", states(run)
    found = [row_of_run(tmp_path / "out", key) for key in ("sources-monday", "sources-tuesday")]
    assert [(row["documents"], row["not_selected"], row["results"], row["unchanged"]) for row in found] == [
        (6, 2, 6, 0),
        (6, 2, 0, 6),
    ]
    assert found[0]["source_uri"] == f"{folder.as_uri()} | rows:{table.as_uri()}?id=no&text=body"


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"source": "list:s3://b/x.docx"}, SettingsError, "names no file that is read as a table"),
        ({"modified_since": "soon"}, SettingsError, "write a date like 2026-11-23"),
        ({"include": ["!a"]}, SettingsError, "'!a' is no pattern here"),
    ],
)
def test_a_wrong_word_is_told(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], error: type[Exception], message: str
) -> None:
    """In the same sentence as on the command line."""
    monkeypatch.setenv("DOCBATCH_WORK_URI", "s3://bucket/work")
    values = {name: param.value for name, param in make_params(Settings()).items()}
    with pytest.raises(error, match=message):
        read_params(values | {"source": "s3://bucket/in"} | changed, Night())


@pytest.mark.parametrize("changed", [{"min_bytes": -1}, {"include": [""]}, {"max_bytes": "many"}])
def test_the_form_refuses_what_it_can(changed: dict[str, Any]) -> None:
    """Sizes are whole numbers, patterns are not empty."""
    params = make_params(Settings())
    for name, value in changed.items():
        with pytest.raises(ParamValidationError):
            params[name].resolve(value)
