"""Prompt injection, at the level of the bytes that are sent: no text adds a control token or a fence to its prompt."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analyses import load_analyses, shipped_prompts
from pipeline.domain import Stage
from pipeline.fusing import fuse
from pipeline.neutralising import FENCES, fold, marks, neutralise
from pipeline.planning import FusedPlanner, Mapper, Planner, Rendered
from pipeline.settling import Limits, Reduce
from pipeline.tokens import CONTROL_TOKENS, load_counter
from pipeline.vocabulary import find_vocabulary, load_tiktoken, read_ranks
from pipeline.wire import read_prompt, write_record
from pipeline.wordings import Correction, Owed
from tests.injections import ATTEMPTS

COUNTER = load_counter(fast=False)
LLAMA = load_tiktoken(read_ranks(find_vocabulary()))
ANALYSES = load_analyses(shipped_prompts(), output_language="the language of the document")
WIDE, NARROW = (
    Limits("m", window_tokens=window, margin_tokens=16, max_output_tokens=2_048) for window in (60_000, 1_600)
)
FUSED = fuse(shipped_prompts(), ANALYSES, list(ANALYSES), 600)
PLANNERS = {name: Planner(analysis, WIDE, COUNTER) for name, analysis in ANALYSES.items()}
WHOLE: list[Mapper] = [*PLANNERS.values(), FusedPlanner(FUSED, WIDE, COUNTER)]
CUTTING: list[Mapper] = [
    *(Planner(analysis, NARROW, COUNTER) for analysis in ANALYSES.values()),
    FusedPlanner(FUSED, replace(NARROW, window_tokens=2_600), COUNTER),
]
FIRST_CONTROL = min(CONTROL_TOKENS.values())
HARMLESS = "HARMLESS"
# Long enough that a narrow window cuts it; an attempt stands in the middle of it.
PADDING = "Words of a long text. " * 130

# How a model might read what is sent: without what cannot be seen, and with one form for each letter and sign.
INVISIBLE = regex.compile(r"(?V1)[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Cc}--[\t-\r\x85]]")
READINGS: list[Callable[[str], str]] = [
    lambda text: text,
    lambda text: unicodedata.normalize("NFKC", INVISIBLE.sub("", text)).casefold(),
    lambda text: INVISIBLE.sub("", unicodedata.normalize("NFKC", text).casefold()),
]
SIGNS = re.compile(r"<\|[^\s<>|]+\|>|<(?:/\s*)?(?:document|part)", re.IGNORECASE)


def sent(rendered: Rendered, mapper: Mapper) -> str:
    """The prompt as the line on the wire has it."""
    request, prompt = rendered
    return read_prompt(write_record(request.record_id, prompt, mapper.asked.generation))


@lru_cache(maxsize=256)
def encoded(prompt: str) -> tuple[list[int], list[str]]:
    """The control tokens that Llama reads in a prompt, and what stands before, between and behind them."""
    ids = LLAMA.encode(prompt, allowed_special="all")
    places = [place for place, token in enumerate(ids) if token >= FIRST_CONTROL]
    cuts = pairwise([-1, *places, len(ids)])
    return [ids[place] for place in places], [LLAMA.decode(ids[before + 1 : after]) for before, after in cuts]


def assert_same_structure(prompt: str, harmless: str) -> None:
    """Whatever the text is, tokens, turns and fences are those of a harmless text, and nothing around it changes."""
    (found, pieces), (expected, around) = encoded(prompt), encoded(harmless)
    assert found == expected
    assert len(expected) >= 8
    for piece, plain in zip(pieces, around, strict=True):
        before, _, rest = plain.partition(HARMLESS)
        assert piece == plain or (piece.startswith(before) and piece.endswith(rest.rpartition(HARMLESS)[2]))
    for reading in READINGS:
        assert SIGNS.findall(reading(prompt)) == SIGNS.findall(reading(harmless))


def assert_only_spaces_added(safe: str, text: str) -> None:
    rest = iter(safe)
    for character in text:
        found = next(rest)
        assert found == character or (found == " " and next(rest) == character)
    assert next(rest, None) is None


@pytest.fixture(params=list(ATTEMPTS))
def attempt(request: pytest.FixtureRequest) -> str:
    return ATTEMPTS[request.param]


def test_the_corpus_is_what_it_says() -> None:
    """There are more than a hundred attempts, no two alike; most would change a prompt if texts went in as they are."""
    assert len(set(ATTEMPTS.values())) == len(ATTEMPTS) > 100
    plain = FUSED.map.render(document=HARMLESS, position=1, siblings=1)
    raw = [FUSED.map.render(document=text, position=1, siblings=1) for text in ATTEMPTS.values()]
    assert sum(encoded(prompt)[0] != encoded(plain)[0] for prompt in raw) >= 20
    assert sum(len(SIGNS.findall(READINGS[1](prompt))) != len(SIGNS.findall(plain)) for prompt in raw) >= 60


def test_a_document_stays_in_its_place(attempt: str) -> None:
    """Of every analysis, alone and fused, whole and in parts: a prompt differs from a harmless one in the text only."""
    asked = [(mapper, attempt) for mapper in WHOLE] + [(mapper, PADDING + attempt + PADDING) for mapper in CUTTING]
    for mapper, text in asked:
        requests = mapper.map_requests("d", "c", text)
        assert len(requests) > (mapper in CUTTING)
        read = []
        for rendered in requests:
            place = {"position": rendered[0].position + 1, "siblings": rendered[0].siblings}
            assert_same_structure(sent(rendered, mapper), mapper.asked.map.render(document=HARMLESS, **place))
            read.append(mapper.asked.map.document_in(rendered[1], **place))
        assert "".join(read) == neutralise(text)
        assert_only_spaces_added("".join(read), text)


def test_answers_stay_in_their_part(attempt: str) -> None:
    """Where answers about parts are joined, each stays between its tags, whatever a document made the model write."""
    planner = PLANNERS["summarization"]

    def joined(said: str) -> Iterator[str]:
        answer = {"summary": said, "key_points": [said, f"and {said}"]}
        owed = Reduce("d", "c", (answer, answer, answer), 1, 3)
        return (sent(rendered, planner) for rendered in planner.reduce_requests(owed))

    for prompt, harmless in zip(joined(attempt), joined(HARMLESS), strict=True):
        assert_same_structure(prompt, harmless)


def test_corrections_stay_in_their_turns(attempt: str) -> None:
    """Where the model's own answer is quoted, and what was wrong with it, both stay in their turns."""
    for planner in PLANNERS.values():
        stages = [Stage.MAP] if planner.analysis.reduce is None else [Stage.MAP, Stage.REDUCE]
        for stage in stages:
            found, plain = (corrected(planner, stage, said) for said in (attempt, HARMLESS))
            assert_same_structure(found, plain)


def corrected(planner: Planner, stage: Stage, said: str) -> str:
    answer = {"summary": said, "key_points": [said]}
    if stage is Stage.MAP:
        ((request, prompt),) = planner.map_requests("d", "c", said)
    else:
        ((request, prompt),) = planner.reduce_requests(Reduce("d", "c", (answer, answer), 1, 2))
    rendered = planner.corrected(Owed(request, request.record_id, Correction(said, said)), prompt)
    assert rendered is not None
    return sent(rendered, planner)


def spelled(sign: str) -> st.SearchStrategy[str]:
    """A control token or a tag with other forms of its letters, and with what is invisible between them."""
    forms = {"<": "<＜﹤", ">": ">＞", "|": "|｜", "/": "/／"}
    letters = [st.sampled_from(forms.get(one, one + one.upper() + fullwidth(one))) for one in sign]
    between = st.sampled_from(["", "", "", "", "\u200b", "\u00ad", "\ufe0f", "\U000e0041", "\x00", " ", "\n"])
    return st.tuples(*(part for letter in letters for part in (letter, between))).map("".join)


def fullwidth(letter: str) -> str:
    return chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter


SIGN = st.sampled_from([*list(CONTROL_TOKENS)[:16], *(f"<{end}{name}>" for end in ("", "/") for name in FENCES)])
CUT_SIGN = st.tuples(SIGN, st.integers(0, 24), st.integers(0, 24)).map(lambda drawn: drawn[0][drawn[1] : drawn[2]])
PIECES = SIGN | CUT_SIGN | SIGN.flatmap(spelled) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
TEXTS = st.lists(PIECES, max_size=8).map("".join)
QUICK = settings(deadline=None, max_examples=200)


@given(TEXTS)
@QUICK
def test_no_mixture_of_signs_adds_one(text: str) -> None:
    """Any text made of pieces of control tokens and tags leaves the structure of the prompt as it is."""
    for name in ("classification", "summarization"):
        ((_, prompt),) = PLANNERS[name].map_requests("d", "c", text)
        assert_same_structure(prompt, ANALYSES[name].map.render(document=HARMLESS, position=1, siblings=1))


@given(TEXTS, st.integers(0, 99), st.integers(0, 99))
@QUICK
def test_what_is_safe_stays_so(text: str, start: int, end: int) -> None:
    """Neutralising twice is neutralising once, a piece of a safe text is safe, and only spaces were added."""
    safe = neutralise(text)
    assert neutralise(safe) == safe
    assert marks(safe) == 0
    piece = safe[start:end]
    assert neutralise(piece) == piece
    assert not any(SIGNS.search(reading(piece)) for reading in READINGS)
    assert_only_spaces_added(safe, text)


def test_the_rule_knows_every_form_of_a_letter() -> None:
    """Whatever Unicode folds to a letter of a tag, or counts as invisible, is known to the rule, wherever it stands."""
    letters = {*"".join(FENCES), *"<>|/"}
    unknown = []
    for character in map(chr, [*range(0xD800), *range(0xE000, 0x110000)]):
        folded = unicodedata.normalize("NFKC", character).casefold()
        if folded in letters or any(len(folded) > 1 and folded in name for name in FENCES):
            tags = [f"</{name}>".replace(folded, character, 1) for name in FENCES if folded in f"</{name}>"]
            unknown += [character for tag in tags if marks(tag) == (0 if folded != ">" else 2)]
        elif INVISIBLE.match(character) and fold(f"<{character}/part>") != "</part>":
            unknown.append(character)
    assert unknown == []
