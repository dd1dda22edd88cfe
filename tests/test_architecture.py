"""The shape of the package: who imports whom, who touches what is outside, how long and how named modules are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pipeline"
MOST_LINES = 300

# Low to high: a module imports only from those before it. A package is one place here, with an order of its own below.
LOW_TO_HIGH = (
    "errors domain settings declared prices models vocabulary graphemes tokens chunking neutralising prompts "
    "merging answers analyses fusing wordings settling quality wire batching ledger manifest schemas parquet "
    "records storage sources extraction known forecasts segments bedrock catalog money planning steps tables "
    "tidying browsing loop terminal reports local airflow cli __main__"
)
ORDER = LOW_TO_HIGH.split()

# Names with a "+" between them stand beside each other: neither imports the other.
INSIDE = {
    "settings": "fields+aws loading",
    "schemas": "columns+examples tables+views __init__",
    "storage": "places+refusals+folders+s3 any_key objects leases",
    "extraction": (
        "normalising+forms values packages+packed+archives+recognising+web plain+office+mail pages reading __init__ "
        "worker+keeping workers"
    ),
    "sources": "spelling+selecting+values files+spool+reaching rows lists listing",
    "known": "comparison+sieve+recall",
    "forecasts": "languages+estimating densities+amounts outlooks drawing",
    "bedrock": "pacing+retries client async_client",
    "catalog": (
        "place translation+fields+rest+glue+snapshots making+files commits opening __init__ reading+history+sweeping "
        "compacting"
    ),
    "money": "costs+hours+budgets+comparing booked reconciling billing+cloudwatch spending price_list own_models",
    "tables": "rows+neutral opening+spreadsheets __init__",
    "tidying": "remains+waiting+snapshots retention+orphans+texts erasing __init__",
    "terminal": "progress+console showing+statement+quotes+tidied",
    "cli": (
        "connecting+choosing operating+foretelling+pricing+auditing+tabling+browsing withdrawing+maintaining+reporting "
        "commands"
    ),
    "reports": (
        "figures+painter+flow counting+drawing+trends+repeating painting pictures charts+daily pages+printing writing "
        "__init__"
    ),
    "steps": (
        "run tombstones progress withdrawing state rounds orders listing start intents sift budgeting plan+on_demand "
        "sampling reading prepare+submit stopping+outputs+reports collect savings counts fold extrapolating summary "
        "judging publish status+forecasting+reconcile+telling quoting __init__"
    ),
}

# Outside library -> the places that may import it.
ONLY = {
    "boto3": ["pipeline/bedrock/client.py", "pipeline/local/"],
    "aiobotocore": ["pipeline/bedrock/async_client.py"],
    "botocore": [
        "pipeline/storage/any_key.py",
        "pipeline/storage/s3.py",
        "pipeline/bedrock/client.py",
        "pipeline/money/cloudwatch.py",
        "pipeline/bedrock/retries.py",
        "pipeline/catalog/",
        "pipeline/local/",
    ],
    "obstore": ["pipeline/storage/objects.py", "pipeline/storage/s3.py", "pipeline/local/"],
    "duckdb": [
        "pipeline/known/comparison.py",
        "pipeline/known/sieve.py",
        "pipeline/catalog/reading.py",
        "pipeline/money/spending.py",
        "pipeline/money/billing.py",
        "pipeline/tables/",
        "pipeline/reports/counting.py",
        "pipeline/browsing/index.py",
    ],
    "xlsxwriter": ["pipeline/tables/spreadsheets.py"],
    "altair": ["pipeline/reports/drawing.py", "pipeline/reports/painting.py"],
    "vl_convert": ["pipeline/reports/painter.py"],
    "anydoc": ["pipeline/extraction/office.py"],
    "pypdfium2": ["pipeline/extraction/pages.py"],
    "tesserocr": ["pipeline/extraction/recognising.py"],
    "PIL": ["pipeline/extraction/recognising.py"],
    "oxmsg": ["pipeline/extraction/mail.py"],
    "airflow": ["pipeline/airflow/", "dags/"],
    "pyiceberg": ["pipeline/catalog/"],
    "sqlalchemy": ["pipeline/catalog/", "pipeline/airflow/setting_up.py"],
}
ENVIRONMENT_READERS = {"pipeline/settings/aws.py", "pipeline/settings/loading.py"}
BANNED = {"util", "utils", "helper", "helpers", "manager", "process", "handle", "handler", "data", "info"}
EXEMPT = {"InProcessBedrock"}  # "in-process" is one word, and what it is

Sources = dict[str, ast.Module]


def parsed(*folders: Path) -> Sources:
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in paths}


MODULES = parsed(PACKAGE)
EVERYWHERE = MODULES | parsed(ROOT / "dags")


def imports(tree: ast.Module) -> list[str]:
    """The full name of everything imported, nested imports included: `from a import b` gives a and a.b."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return found


def module_of(path: str) -> str:
    """pipeline/steps/plan.py -> steps; pipeline/errors.py -> errors; pipeline/__init__.py -> the package itself."""
    parts = path.removesuffix(".py").split("/")
    return "" if parts[1] == "__init__" else parts[1]


def wrong_directions(sources: Sources) -> list[str]:
    wrong = []
    for path, tree in sources.items():
        own = module_of(path)
        if own and own not in ORDER:
            wrong.append(f"{path}: give {own} a place in ORDER")
            continue
        for name in imports(tree):
            target = name.split(".")[1] if name.startswith("pipeline.") else ""
            if name.startswith("."):
                wrong.append(f"{path}: relative import {name}")
            elif target in ORDER and (not own or ORDER.index(target) > ORDER.index(own)):
                wrong.append(f"{path}: imports {name}, which stands above it")
    return wrong


def wrong_inside(sources: Sources) -> list[str]:
    wrong = []
    for path, tree in sources.items():
        package = module_of(path)
        if package not in INSIDE:
            continue
        place, own = _places(package), Path(path).stem
        if own not in place and own != "__init__":
            wrong.append(f"{path}: give {own} a place in INSIDE[{package!r}]")
            continue
        for name in imports(tree):
            target = name.split(".")[2] if name.startswith(f"pipeline.{package}.") else ""
            if target in place and place[target] >= place.get(own, len(place)):
                wrong.append(f"{path}: imports {name}, which stands above or beside it")
    return wrong


def _places(package: str) -> dict[str, int]:
    return {name: rank for rank, names in enumerate(INSIDE[package].split()) for name in names.split("+")}


def wrong_vendors(sources: Sources) -> list[str]:
    return [
        f"{path}: imports {name}"
        for path, tree in sources.items()
        for name in sorted({one.split(".")[0] for one in imports(tree)} & ONLY.keys())
        if not path.startswith(tuple(ONLY[name]))
    ]


def environment_readers(sources: Sources) -> list[str]:
    """Modules that name os.environ or os.getenv in any way, or import them from os."""
    names = {"environ", "environb", "getenv"}
    found = []
    for path, tree in sources.items():
        spelled = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        imported = {name.removeprefix("os.") for name in imports(tree) if name.startswith("os.")}
        if names & (spelled | imported):
            found.append(path)
    return found


def wrong_docstrings(sources: Sources) -> list[str]:
    wrong = []
    for path, tree in sources.items():
        text = ast.get_docstring(tree, clean=True)
        first, _, rest = (text or "").partition("\n")
        if not first.endswith((".", "?")) or (rest and not rest.startswith("\n")):
            wrong.append(f"{path}: the docstring must begin with one line that states its purpose")
    return wrong


def banned_names(sources: Sources) -> list[str]:
    wrong = []
    for path, tree in sources.items():
        kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        names = [Path(path).stem, *(node.name for node in ast.walk(tree) if isinstance(node, kinds))]
        for name in names:
            words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
            if words & BANNED and name not in EXEMPT:
                wrong.append(f"{path}: {name}")
    return wrong


def test_the_checks_look_at_the_package() -> None:
    """The package is not empty, every name of the order exists, and so does everything that is singled out."""
    assert len(MODULES) > 40
    assert set(ORDER) <= {module_of(path) for path in MODULES}
    for package in INSIDE:
        there = {path.stem for path in (PACKAGE / package).glob("*.py")}
        assert _places(package).keys() | {"__init__"} == there, package
    assert len(EVERYWHERE) > len(MODULES)
    for places in ONLY.values():
        assert all(any(path.startswith(place) for path in EVERYWHERE) for place in places)


def test_imports_point_downwards() -> None:
    """Every import inside the package points to a module earlier in the order, nested imports included."""
    assert wrong_directions(MODULES) == []


def test_imports_inside_a_package_point_downwards() -> None:
    """Each package has an order of its own; that of pipeline/steps is the order of a run."""
    assert wrong_inside(MODULES) == []


def test_vendors_are_imported_at_the_edge_only() -> None:
    """boto3, botocore, obstore and airflow are imported where the design says, and each somewhere."""
    used = {name.split(".")[0] for tree in EVERYWHERE.values() for name in imports(tree)}
    assert used >= ONLY.keys()
    assert wrong_vendors(EVERYWHERE) == []


def test_one_reader_of_the_environment() -> None:
    """Only settings reads the environment; one module of the embedded stack makes that of its children."""
    readers = environment_readers(EVERYWHERE)
    assert set(readers) >= ENVIRONMENT_READERS
    others = [path for path in readers if path not in ENVIRONMENT_READERS]
    assert len(others) == 1, others
    assert others[0].startswith("pipeline/local/")


def test_modules_are_short_and_say_their_purpose() -> None:
    """No module passes 300 lines, and the first statement of each says in a line what it is for."""
    lines = {path: len((ROOT / path).read_text("utf-8").splitlines()) for path in EVERYWHERE}
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}
    assert wrong_docstrings(EVERYWHERE) == []


def test_names_say_something() -> None:
    """No module, class or function is called util, helper, manager, process, handle, data or info."""
    assert banned_names(EVERYWHERE) == []


@pytest.mark.parametrize(
    ("check", "path", "source"),
    [
        (wrong_directions, "pipeline/answers.py", "def f():\n    from pipeline.analyses import Analysis"),
        (wrong_directions, "pipeline/domain.py", "from pipeline import settings"),
        (wrong_directions, "pipeline/domain.py", "import pipeline.steps.plan"),
        (wrong_directions, "pipeline/domain.py", "from . import errors"),
        (wrong_directions, "pipeline/newcomer.py", "import os"),
        (wrong_inside, "pipeline/steps/plan.py", "from pipeline.steps.collect import collect"),
        (wrong_inside, "pipeline/steps/submit.py", "from pipeline.steps.prepare import prepare"),
        (wrong_inside, "pipeline/steps/newcomer.py", "import os"),
        (wrong_inside, "pipeline/storage/folders.py", "from pipeline.storage.objects import ObjectStore"),
        (wrong_vendors, "pipeline/steps/run.py", "def f():\n    import boto3.session"),
        (wrong_vendors, "pipeline/planning.py", "from obstore.store import MemoryStore"),
        (wrong_vendors, "pipeline/loop.py", "from airflow.sdk import dag"),
        (environment_readers, "pipeline/loop.py", "import os\nx = os.environ.get('A')"),
        (environment_readers, "pipeline/loop.py", "from os import getenv"),
        (wrong_docstrings, "pipeline/loop.py", "import os"),
        (wrong_docstrings, "pipeline/loop.py", '"""Two lines\nwithout an end."""'),
        (banned_names, "pipeline/data.py", ""),
        (banned_names, "pipeline/loop.py", "class JobManager: ..."),
        (banned_names, "pipeline/loop.py", "class C:\n    async def handle_reply(self): ..."),
    ],
)
def test_every_check_can_fail(check: object, path: str, source: str) -> None:
    """A source that breaks the rule is found."""
    assert callable(check)
    found: Iterable[str] = check({path: ast.parse(source)})
    assert list(found)
