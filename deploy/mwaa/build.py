"""`make mwaa`: what Amazon MWAA takes, in dist/mwaa/: plugins.zip, requirements.txt, startup.sh and the folder dags."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
TARGET = ROOT / "dist" / "mwaa"
EPOCH = 1_577_836_800  # 2020-01-01: zip archives know no time before 1980, and builds need one that stays
PLUGINS = "/usr/local/airflow/plugins"  # where MWAA unpacks plugins.zip
AIRFLOW, PYTHON = "3.3.1", "3.12"
OFFICIAL = f"https://raw.githubusercontent.com/apache/airflow/constraints-{AIRFLOW}/constraints-{PYTHON}.txt"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:==([^ ;\\]+))?")


def main(target: Path) -> None:
    """Everything anew in the target; each file is named with its size."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", EPOCH))
    shutil.rmtree(target, ignore_errors=True)
    (target / "dags").mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder), epoch)
        zip_plugins(wheel, target / "plugins.zip", epoch)
        (target / "requirements.txt").write_text(requirements(wheel.name), "utf-8")
    shutil.copy(HERE / "startup.sh", target / "startup.sh")
    for path in (ROOT / "dags").glob("*.py"):
        shutil.copy(path, target / "dags" / path.name)
    for path in sorted(one for one in target.rglob("*") if one.is_file()):
        print(f"{path}  {path.stat().st_size:,} bytes")  # noqa: T201 - a command speaks through print


def build_wheel(folder: Path, epoch: int) -> Path:
    """Our wheel, the same bytes for the same source: hatchling comes from the lock, not from an index."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)  # noqa: S603 - ours
    (wheel,) = folder.glob("*.whl")
    return wheel


def zip_plugins(wheel: Path, target: Path, epoch: int) -> None:
    """The wheel alone; no time, mode or order of this machine's."""
    member = zipfile.ZipInfo(wheel.name, time.gmtime(epoch)[:6])
    member.external_attr = 0o644 << 16
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(member, wheel.read_bytes())  # stored: a wheel is compressed already


def requirements(wheel_name: str) -> str:
    """MWAA's constraints first, then our wheel, then what we need that they do not name, pinned as we test it.

    The extra is for what Airflow's image may lack, aiobotocore; whatever else it names is there already.
    """
    given, ours = pins(HERE / "constraints.txt"), pins(ROOT / "requirements.lock")
    more = [f"{name}=={ours[name]}" for name in sorted(needed("docbatch") - given.keys())]
    lines = [f'--constraint "{OFFICIAL}"', f"{PLUGINS}/{wheel_name}[airflow]", *more]
    return "\n".join(lines) + "\n"


def pins(path: Path) -> dict[str, str | None]:
    """The versions that a lock or a constraints file names; None for a name without one."""
    found = (PINNED.match(line) for line in path.read_text("utf-8").splitlines())
    return {canonicalize_name(one[1]): one[2] for one in found if one}


def needed(package: str, seen: frozenset[str] = frozenset()) -> set[str]:
    """Everything that an installed package needs on this platform, without extras, itself not included."""
    names: set[str] = set()
    for text in distribution(package).requires or ():
        one = Requirement(text)
        name = canonicalize_name(one.name)
        if name in names | seen or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        names |= {name} | needed(name, seen | names | {name})
    return names


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
