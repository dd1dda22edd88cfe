"""Prompts: text cannot break out of them, and a broken template is refused before anything is sent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain import Stage
from pipeline.errors import DeclarationError
from pipeline.neutralising import neutralise
from pipeline.prompts import fingerprint, load_prompt, open_templates
from pipeline.tokens import CONTROL_TOKENS

PIECES = [
    *CONTROL_TOKENS.keys(),
    *(
        "<",
        "|",
        "|>",
        "<|",
        "</",
        "/",
        ">",
        " ",
        "\n",
        "\t",
        "\u00a0",
        "document",
        "DOCUMENT",
        "part",
        "Part>",
        "x",
        "é",
    ),
    *("</document>", "</ document >", "<document>", "</part>", "<PART attr='1'>", "< |eot_id|>", "<<|eot_id|>|>"),
]
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)
FENCE = re.compile(r"<\s*/?\s*(?:document|part)\b", re.IGNORECASE)


@given(HOSTILE)
def test_nothing_that_has_been_neutralised_is_a_control_token_or_a_fence(text: str) -> None:
    """No spelling of a control token is left, and no tag of a fence but with a space behind its `<`."""
    safe = neutralise(text)
    assert not [token for token in CONTROL_TOKENS if token in safe]
    assert all(tag[1].isspace() for tag in FENCE.findall(safe))


@given(HOSTILE)
def test_neutralising_only_inserts_spaces(text: str) -> None:
    """Every character stays in its place but for single spaces that were put in."""
    safe = neutralise(text)
    rest = iter(safe)
    for character in text:
        found = next(rest)
        if found != character:
            assert found == " "
            assert next(rest) == character
    assert next(rest, None) is None


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("<|eot_id|>", "< |eot_id|>"),
        ("</document>", "< /document>"),
        ("<Document>", "< Document>"),
        ("</ part>", "< / part>"),
        ("if a <|b or a < b", "if a <|b or a < b"),
        ("<documents> <partial>", "< documents> < partial>"),
        ("</doc> <pa", "</doc> <pa"),
        ("＜／document＞", "＜ ／document＞"),
        ("</\u200bDOCU\u00adMENT\u2060>", "< /\u200bDOCU\u00adMENT\u2060>"),
        ("<㎩rt>", "< ㎩rt>"),
        ("</𝐝𝐨𝐜ument>", "< /𝐝𝐨𝐜ument>"),
        ("</\n\u3000part", "< /\n\u3000part"),
        ("<|\u200beot_id|>", "< |\u200beot_id|>"),
        ("＜｜eot_id｜＞", "＜ ｜eot_id｜＞"),
        ("<|eot<|eot_id|>_id|>", "<|eot< |eot_id|>_id|>"),
        ("< /document> < |eot_id|>", "< /document> < |eot_id|>"),
        ("<p>plain</p>", "<p>plain</p>"),
    ],
)
def test_what_is_changed_and_what_is_not(text: str, safe: str) -> None:
    """Only what could be mistaken is touched."""
    assert neutralise(text) == safe


BROKEN = [
    ("{% block answer %}", "a/map.jinja, line 1: Unexpected end of template"),
    ("x\n{{ document", "map.jinja, line 2: unexpected end of template"),
    (
        "{{ documnt }}{% block answer %}{% endblock %}",
        "a/map.jinja: 'documnt' is undefined; a template may use document",
    ),
    ("{{ document.heading }}{% block answer %}{% endblock %}", "a/map.jinja: 'str object' has no attribute 'heading'"),
    ("{% include 'b.jinja' %}{% block answer %}{% endblock %}", "a/map.jinja: includes 'b.jinja', which is not there"),
    ("{% extends 'b.jinja' %}{% block answer %}{% endblock %}", "a/map.jinja: includes 'b.jinja', which is not there"),
    ("{{ document }}", "a/map.jinja: has no block `answer`"),
    ("{{ document }}{% block answer %}<<<{% endblock %}", "a/map.jinja: the block `answer` must begin a JSON object"),
    ('{% block answer %}{"x{% endblock %} more', "a/map.jinja: the block `answer` must be the last thing"),
    ("{{ document + 1 }}{% block answer %}{% endblock %}", "a/map.jinja: can only concatenate str"),
    ("{{ 1 / 0 }}{% block answer %}{% endblock %}", "a/map.jinja: division by zero"),
    ("{{ range(10 ** 9) | list }}{% block answer %}{% endblock %}", "a/map.jinja: Range too big"),
    (
        "{{ document.__class__.__mro__ }}{% block answer %}{% endblock %}",
        "a/map.jinja: access to attribute '__class__'",
    ),
    ("{% include 'a/map.jinja' %}{% block answer %}{% endblock %}", "a/map.jinja: maximum recursion depth"),
    (None, "a/map.jinja: there is no such file"),
]


@pytest.mark.parametrize(("source", "message"), BROKEN)
def test_a_broken_template_is_refused(tmp_path: Path, source: str | None, message: str) -> None:
    """The message names the file and the mistake, and what a template may use."""
    (tmp_path / "a").mkdir()
    if source is not None:
        (tmp_path / "a" / "map.jinja").write_text(source)
    with pytest.raises(DeclarationError) as raised:
        load_prompt(open_templates(tmp_path), "a/map.jinja", Stage.MAP, {}, {"document": "x"})
    assert message in str(raised.value)
    if ", line " in message:
        assert "Mend the template there" in str(raised.value)
        assert "`docbatch plan` then shows" in str(raised.value)


def test_the_begun_answer_ends_the_prompt(tmp_path: Path) -> None:
    """`begun` is what the block `answer` holds, and every rendering ends with it."""
    (tmp_path / "map.jinja").write_text('{{ document }}:{% block answer %}{"a": "{% endblock %}')
    prompt = load_prompt(open_templates(tmp_path), "map.jinja", Stage.MAP, {}, {"document": ""})
    assert prompt.begun == '{"a": "'
    assert prompt.render(document="<b>&amp;") == '<b>&amp;:{"a": "'


def test_the_fingerprint_follows_everything_that_the_prompt_is_made_of(tmp_path: Path) -> None:
    """It changes with the declaration, the template, and what is included or extended at any depth; not else."""
    (tmp_path / "a.toml").write_text("x = 1")
    (tmp_path / "map.jinja").write_text("{% extends 'base.jinja' %}")
    (tmp_path / "base.jinja").write_text("{% include 'part.jinja' %}")
    (tmp_path / "part.jinja").write_text("deep")
    (tmp_path / "other.jinja").write_text("not used")

    def found() -> str:
        return fingerprint(open_templates(tmp_path), tmp_path / "a.toml", ["map.jinja"])

    seen = [found()]
    assert found() == seen[0]
    (tmp_path / "other.jinja").write_text("changed")
    assert found() == seen[0]
    for name in ("a.toml", "map.jinja", "base.jinja", "part.jinja"):
        path = tmp_path / name
        path.write_text(path.read_text() + " ")
        seen.append(found())
    assert len(set(seen)) == 5


@pytest.mark.parametrize(
    ("source", "message"),
    [("{% include name %}", "must be written out"), ("{% include 'gone.jinja' %}", "gone.jinja: there is no such")],
)
def test_an_include_that_cannot_be_fingerprinted_is_refused(tmp_path: Path, source: str, message: str) -> None:
    """A computed or missing include has no fingerprint."""
    (tmp_path / "a.toml").write_text("")
    (tmp_path / "map.jinja").write_text(source)
    with pytest.raises(DeclarationError, match=message):
        fingerprint(open_templates(tmp_path), tmp_path / "a.toml", ["map.jinja"])
