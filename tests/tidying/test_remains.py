"""What goes is what holds texts, prompts and answers of a run; what stays is what its readers need."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.tidying import tidy_runs
from pipeline.tidying.remains import is_working
from tests.chaos.scene import scene
from tests.tidying.scenes import bucket, later
from tests.world import WORK_URI

STAYS = {
    "run.json",
    "published.json",
    "tidied.json",
    "rounds/N/plan.json",
    "rounds/N/prepared/N.json",
    "rounds/N/jobs/BATCH.intent.json",
    "rounds/N/jobs/BATCH.json",
    "rounds/N/collected/BATCH.json",
    "rounds/N/output/BATCH/JOB/manifest.json.out",
    "staged/counts/N.json",
}
GOES = {
    "listing/N-HASH.parquet",
    "documents/N-HASH.parquet",
    "staged/TABLE/part-N.parquet",
    "rounds/N/requests/N/N-HASH.jsonl",
    "rounds/N/requests/N/N-HASH.parquet",
    "rounds/N/input/BATCH-HASH.jsonl",
    "rounds/N/shared/BATCH-HASH.parquet",
    "rounds/N/kept/N/N-HASH.jsonl",
    "rounds/N/kept/N/N-HASH.parquet",
    "rounds/N/outcomes/N/BATCH.parquet",
    "rounds/N/outcomes/N/known-night-BATCH.parquet",
    "rounds/N/output/BATCH/JOB/BATCH-HASH.jsonl.out",
    "rounds/N/output/BATCH/RECORD.jsonl.out",
}
KINDS = (
    (r"r\d\d-[ab]\d{4}", "BATCH"),
    (r"/output/BATCH/\w{12}/", "/output/BATCH/JOB/"),
    (r"/[0-9a-f]{32}\.jsonl", "/RECORD.jsonl"),
    (r"-[0-9a-f]{24}\b", "-HASH"),
    (r"staged/(?!counts)\w+", "staged/TABLE"),
    (r"\b\d{2,4}\b", "N"),
)


def kind(key: str) -> str:
    """The key with what differs from run to run in capitals."""
    for pattern, name in KINDS:
        key = re.sub(pattern, name, key)
    return key


def kinds(found: dict[str, bytes], run_key: str = "night") -> set[str]:
    start = f"work/runs/{run_key}/"
    return {kind(key.removeprefix(start)) for key in found if key.startswith(start)}


def test_every_kind_of_file_of_a_run_is_decided_on(tmp_path: Path) -> None:
    """A run with everything: whoever adds a kind of file has to say here whether it goes. No text stays."""
    world = scene(tmp_path / "world", tmp_path / "output")
    world.run()
    before = bucket(world)
    later(world)
    (found,) = tidy_runs(world.services, WORK_URI)
    after = bucket(world)
    gone = {key: content for key, content in before.items() if key not in after}
    assert kinds(after) == STAYS
    assert kinds(gone) <= GOES
    assert (found.files, found.size_bytes) == (len(gone), sum(map(len, gone.values())))
    assert any(b"Document number 3 of 8." in content for content in gone.values())
    assert not any(b"Document number" in content or b"Sentence" in content for content in after.values())
    assert {key for key in before if key.startswith("work/answers/")} <= after.keys()


@pytest.mark.parametrize(
    ("key", "goes"),
    [
        ("listing/0000-54da47887fc2f61dc35179ac.parquet", True),
        ("documents/0000-54da47887fc2f61dc35179ac.parquet", True),
        ("rows/0000/0001-54da47887fc2f61dc35179ac.parquet", True),
        ("rounds/00/awaited/r00-a0000-54da47887fc2f61dc35179ac.parquet", True),
        ("rounds/00/output/r00-b0000/5f1q97m4b4np/x.jsonl.out", True),
        ("rounds/00/output/r00-b0000/5f1q97m4b4np/manifest.json.out", False),
        ("rounds/00/output/r00-b0000/record.jsonl.out", True),
        ("rounds/00/jobs/r00-b0000.json", False),
        ("rounds/00/jobs/turn.lease.json", False),
        ("staged/counts/0000.json", False),
        ("staged/ledger/part-0000.parquet", True),
        ("stopped.json", False),
        ("notes/documents/mine.txt", False),
        ("listing", False),
    ],
)
def test_what_goes_is_told_by_the_key(key: str, goes: bool) -> None:
    """What is not known to be a working file stays."""
    assert is_working(key) is goes
