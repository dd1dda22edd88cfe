"""Names and sizes that break programs: each document ends once, and nothing is written outside the work store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.world import World

NAMES = (
    "two  words.txt",
    'quote\'d "twice".txt',
    "line\nend.txt",
    "carriage\rreturn\tand tab.txt",
    "..txt",
    "...",
    "a..b/..c/d...txt",
    "%2e%2e%2fup.txt",
    "per%cent%00.txt",
    "hash#and?query&.txt",
    "back\\slash.txt",
    "* [glob] {brace}.txt",
    "$(touch evil); `touch evil`.txt",
    "-rf",
    "\U0001f600 é e\u0301.txt",
    "\u202egnp.txt",
    "key=value/part.txt",
    "रिपोर्ट.txt",
)


def test_every_name_is_a_document_of_its_own(tmp_path: Path) -> None:
    """Spaces, quotes, line ends, dots, percent signs and emoji: a result each, by the uri that names the file."""
    world = World(tmp_path / "world", analyses=("sentiment",))
    uris = {world.put(name, f"The text of name number {number}.") for number, name in enumerate(NAMES)}
    before = {path for path in tmp_path.rglob("*") if world.output not in path.parents}
    summary = world.run()
    assert (summary.documents, summary.results, summary.failures) == (len(NAMES), len(NAMES), 0)
    assert {row["uri"] for row in world.rows("sentiment")} == uris
    after = {path for path in tmp_path.rglob("*") if world.output not in path.parents}
    assert {path for path in after - before if world.folder not in path.parents} == set()
    assert not list(tmp_path.rglob("evil"))
    assert not list(Path.cwd().glob("evil"))


def test_a_gigabyte_of_one_line_is_not_read(tmp_path: Path) -> None:
    """It is too large by its listing: a failure that says so, and the documents beside it have their results."""
    world = World(tmp_path / "world", analyses=("sentiment",))
    world.put("a.txt", "A small one.")
    with (world.source / "large.txt").open("wb") as file:
        file.truncate(1_000_000_000)  # takes no place on disk: reading it would show
    summary = world.run()
    assert (summary.results, summary.failures) == (1, 1)
    (failure,) = world.rows("failures")
    assert (failure["reason"], failure["detail"]) == ("too_large", "1000000000 bytes; the limit is 50000000")


READ = """
import resource, sys
from pipeline.extraction import extract
content = sys.argv[2].encode() * (int(sys.argv[1]) // len(sys.argv[2].encode()))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = extract(content, "x.txt")
assert len(found.content) * len(sys.argv[2].encode()) // len(sys.argv[2]) >= len(content) - 10, found
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 // len(content))
"""


def test_one_long_line_takes_memory_by_its_size() -> None:
    """With the limit raised: a line of 60 MB takes a few times its own size, whatever its letters are."""
    for letters in ("a", "aé", "परि", "a\u00a0"):
        command = [sys.executable, "-c", READ, "60000000", letters]
        times = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        assert times <= 8, letters
