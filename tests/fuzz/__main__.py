"""`python -m tests.fuzz`: each target under atheris for some seconds; or one of them over a file that made it fail."""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".fuzz"
MOST_BYTES = 4_096
MOST_SECONDS_EACH = 20  # for one input; nothing here may take so long
MOST_MEGABYTES = 2_048
_DONE = re.compile(r"stat::number_of_executed_units: (\d+)|Done (\d+) runs|#(\d+)\t")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help="which targets; all, if none is named")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--replay", type=Path, help="a file for the one target that is named")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        return _fuzz(asked.targets[0], asked.seconds)
    from tests.fuzz.targets import TARGETS

    if asked.replay:
        TARGETS[asked.targets[0]](asked.replay.read_bytes())
        return 0
    return max(_watched(name, asked.seconds) for name in asked.targets or TARGETS)


def _watched(name: str, seconds: int) -> int:
    """One target in a process of its own, since a fuzzer ends its process. 1 when it found something."""
    _write_seeds(name)
    log = FOLDER / name / "log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(seconds), "--inside"]
        code = subprocess.run(command, cwd=ROOT, stdout=out, stderr=out, timeout=seconds + 300, check=False).returncode
    text = log.read_text("utf-8", "replace")
    runs = max((int(number) for found in _DONE.findall(text) for number in found if number), default=0)
    _say(f"{name}: {runs} inputs in {seconds} s, {'failed' if code else 'nothing found'}")
    if code:
        _say(text[-3_000:])
        for crash in sorted((FOLDER / name / "found").iterdir()):
            _say(f"  again: {Path(sys.executable)} -m tests.fuzz {name} --replay {crash}")
    return 1 if code else 0


def _write_seeds(name: str) -> None:
    from tests.fuzz.targets import SEEDS

    for folder in ("corpus", "found"):
        (FOLDER / name / folder).mkdir(parents=True, exist_ok=True)
    for seed in SEEDS[name]:
        (FOLDER / name / "corpus" / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


def _fuzz(name: str, seconds: int) -> int:
    import atheris  # only here: the targets need none

    with atheris.instrument_imports(include=["pipeline"]):
        from tests.fuzz.targets import TARGETS, analyses, counter
    analyses(), counter()  # loaded before the first input is timed
    bounds = [
        f"-max_total_time={seconds}",
        f"-max_len={MOST_BYTES}",
        f"-timeout={MOST_SECONDS_EACH}",
        f"-rss_limit_mb={MOST_MEGABYTES}",
        f"-artifact_prefix={FOLDER / name / 'found'}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *bounds, str(FOLDER / name / "corpus")], TARGETS[name])
    atheris.Fuzz()
    return 0


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
