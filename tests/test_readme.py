"""README and docs/ are under test: settings are those that exist, examples work, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.analyses import load_analyses, shipped_prompts
from pipeline.settings import Settings
from tests.test_architecture import ORDER

ROOT = Path(__file__).resolve().parents[1]
README, SETTINGS = ROOT / "README.md", ROOT / "docs" / "settings.md"
PAGES = sorted(str(path.relative_to(ROOT)) for path in [README, *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*.md")])
_SETTINGS = re.compile(r"(<!-- settings: .*? -->\n)(.*?)(<!-- /settings -->)", re.DOTALL)


def settings_table() -> str:
    """One line a setting: its variable, its default, what it says of itself."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None or field.default == () else f"`{field.default}`"
        rows.append(f"| `DOCBATCH_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows) + "\n"


def headings(page: Path) -> set[str]:
    """What a link to a part of a page may name."""
    found = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def fenced(language: str) -> list[str]:
    """The fenced blocks of README in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


def test_the_settings_table_is_what_the_settings_say(request: pytest.FixtureRequest) -> None:
    """Every setting is in docs/settings.md with its default and meaning."""
    text = SETTINGS.read_text("utf-8")
    found = _SETTINGS.search(text)
    assert found
    if request.config.getoption("--update-goldens"):
        SETTINGS.write_text(text.replace(found[0], found[1] + settings_table() + found[3]), "utf-8")
        return
    assert found[2] == settings_table(), "stale; renew it with: pytest tests/test_readme.py --update-goldens"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_what_is_there(page: str) -> None:
    """Files that exist, and headings that they have."""
    text = (ROOT / page).read_text("utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("http"):
            continue
        name, _, heading = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        assert not heading or heading in headings(target), link


def test_every_page_is_in_the_list() -> None:
    """Whoever reads README finds every page of docs/."""
    text = README.read_text("utf-8")
    assert [page for page in PAGES if page.startswith("docs/") and f"({page})" not in text] == []


def test_settings_that_readme_names_exist() -> None:
    """A setting that was renamed is not told by its old name, in any page."""
    known = {f"DOCBATCH_{name.upper()}" for name in Settings.model_fields} | {"DOCBATCH_CONFIG"}
    for page in PAGES:
        named = set(re.findall(r"DOCBATCH_[A-Z_]+[A-Z]", (ROOT / page).read_text("utf-8")))
        assert named <= known, (page, named - known)


def test_the_modules_are_listed_in_their_order() -> None:
    """Whoever reads README meets every module of the package, low to high, as the imports are checked."""
    found = re.search(r"a test checks it: (.*?)\. `make lock`", README.read_text("utf-8"), re.DOTALL)
    assert found
    assert found[1].replace("`", "").replace("\n", " ").split(", ") == ORDER


def test_the_example_of_a_new_analysis_loads(tmp_path: Path) -> None:
    """The folder that README shows is an analysis as it stands, with no code."""
    (declaration,) = fenced("toml")
    (template,) = fenced("jinja")
    shared = shipped_prompts() / "_shared"
    for path in shared.iterdir():
        (tmp_path / "_shared").mkdir(exist_ok=True)
        (tmp_path / "_shared" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "urgency").mkdir()
    (tmp_path / "urgency" / "analysis.toml").write_text(declaration, "utf-8")
    (tmp_path / "urgency" / "map.jinja").write_text(template, "utf-8")
    analysis = load_analyses(tmp_path, output_language="English")["urgency"]
    prompt = analysis.map.render(document="Water comes through the ceiling.", position=1, siblings=1)
    assert prompt.startswith("<|begin_of_text|>")
    assert prompt.endswith('{"urgency": "')
    assert "- today: harm or loss if nobody acts today" in prompt
