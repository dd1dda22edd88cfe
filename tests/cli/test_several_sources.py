"""Two nights over two prefixes, a list, an inventory and rows on the embedded stack, and a third after changes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pipeline.local import stack
from tests.loaded_shell import LoadedShell
from tests.local.embedded_clients import make_client
from tests.shell import User, own_environment

ROWS = [
    {"ticket": number, "body": f"Ticket {number}: the kettle came late.", "customer": f"c{number}", "stars": number / 2}
    for number in range(20)
]
SOURCES = [
    "s3://letters/in",
    "s3://letters/more",
    "list:s3://lists/uris.csv?uri=place",
    "inventory:s3://lists/archive/all",
    "rows:s3://lists/tickets.jsonl.gz?id=ticket&text=body",
]
DOCUMENTS = 8 + 4 + 2 + 3 + len(ROWS)


@dataclass(frozen=True)
class Night:
    """What a night came to."""

    summary: dict[str, Any]
    user: User

    def rows(self, table: str) -> list[dict[str, Any]]:
        shown = self.user.types(f"show {table} --output out --run-key {self.summary['run_key']} --format json")
        assert shown.returncode == 0, shown.stderr
        return [json.loads(line) for line in shown.stdout.splitlines()]


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user whose documents lie in three buckets."""
    shell = LoadedShell(own_environment())
    folder = tmp_path_factory.mktemp("sources")
    user = User(folder, folder / "home", shell)
    up = user.types("local up")
    assert up.returncode == 0, up.stderr
    yield user
    user.types("local down")
    shell.close()


@pytest.fixture(scope="module")
def s3(user: User) -> Any:
    running = stack.status(user.home)
    assert running
    client = make_client(running, "s3")
    for bucket in ("letters", "lists", "archive"):
        client.create_bucket(Bucket=bucket)
    for number in range(8):
        client.put_object(Bucket="letters", Key=f"in/{number}.txt", Body=f"Letter {number} praises the kettle.")
    for number in range(4):
        client.put_object(Bucket="letters", Key=f"more/{number}.txt", Body=f"More letters, number {number}.")
    for number in range(5):
        client.put_object(Bucket="archive", Key=f"old/a b+{number}.txt", Body=f"Contract number {number} was signed.")
    listed = ["s3://archive/old/a b+0.txt", "s3://archive/old/a b+1.txt", "s3://letters/in/0.txt"]
    client.put_object(Bucket="lists", Key="uris.csv", Body="place\n" + "\n".join(listed))
    lines = "".join(f'"archive","old/a+b%2B{number}.txt"\n' for number in range(2, 5))
    client.put_object(Bucket="lists", Key="archive/all/data/1.csv.gz", Body=gzip.compress(lines.encode()))
    manifest = {
        "destinationBucket": "arn:aws:s3:::lists",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key",
        "files": [{"key": "archive/all/data/1.csv.gz"}],
    }
    key = "archive/all/2026-11-22T01-00Z/manifest.json"
    client.put_object(Bucket="lists", Key=key, Body=json.dumps(manifest))
    put_rows(client, ROWS)
    return client


def put_rows(client: Any, rows: list[dict[str, Any]]) -> None:
    body = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    client.put_object(Bucket="lists", Key="tickets.jsonl.gz", Body=body)


def night(user: User, key: str, options: str = "") -> Night:
    said = " ".join(f"'{one}'" for one in SOURCES)
    ended = user.types(f"run {said} --output out --run-key {key} --json {options}")
    assert ended.returncode == 0, ended.stderr
    assert (user.folder / "out" / "reports" / f"{key}.html").exists(), ended.stderr
    return Night(json.loads(ended.stdout), user)


def test_three_nights_over_every_kind_of_source(user: User, s3: Any) -> None:
    """Everything is sent once; the second night sends nothing, the third what changed, and each has a page."""
    said = " ".join(f"'{one}'" for one in SOURCES)
    planned = json.loads(user.types(f"plan {said} --output out --json").stdout)
    assert planned["documents"]["listed"] == DOCUMENTS
    first = night(user, "one")
    assert (first.summary["documents"], first.summary["failures"]) == (DOCUMENTS, 0)
    assert first.summary["results"] == 3 * DOCUMENTS
    assert first.summary["source_uri"] == " | ".join(SOURCES)
    found = {row["uri"]: row for row in first.rows("sentiment")}
    extra = found["s3://lists/tickets.jsonl.gz#ticket=7"]["extra"]
    assert json.loads(extra) == {"customer": "c7", "stars": 3.5}
    assert found["s3://archive/old/a b+3.txt"]["extra"] is None

    second = night(user, "two")
    assert (second.summary["requests"], second.summary["deleted"]) == (0, 0)
    assert set(second.summary["unchanged"].values()) == {DOCUMENTS}

    put_rows(s3, [{**ROWS[0], "body": "It broke on the first day."}, *ROWS[1:-1]])
    s3.delete_object(Bucket="letters", Key="more/3.txt")
    third = night(user, "three")
    changes = {row["uri"].rpartition("/")[2]: row["change"] for row in third.rows("documents")}
    assert changes == {
        "tickets.jsonl.gz#ticket=0": "changed",
        "tickets.jsonl.gz#ticket=19": "deleted",
        "3.txt": "deleted",
    }
    assert third.summary["results"] == 3

    fourth = night(user, "four", "--include 'in/**' --exclude '0.*' --max-bytes 1000")
    assert fourth.summary["deleted"] == 0
    assert fourth.summary["not_selected"] > 0
