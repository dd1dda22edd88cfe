"""The baseline engine: what it answers in eight languages, to any schema, and on hostile text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipeline.analyses import load_analysis, shipped_prompts
from pipeline.answers import parse_answer
from pipeline.local.baseline import Baseline
from pipeline.local.baseline.language import language
from pipeline.local.baseline.reading import read_prompt
from pipeline.local.baseline.sentiment import tone
from pipeline.local.baseline.terms import MAX_SENTENCES, sentences

if TYPE_CHECKING:
    from pipeline.local.vocabulary import LlamaVocabulary

TEXTS = {
    "en": "The hotel was wonderful. The staff were friendly and helpful. We loved the view and will come back.",
    "de": "Das Hotel war furchtbar. Das Personal war unfreundlich. Das Frühstück war kalt und die Rechnung falsch.",
    "fr": "L'hôtel était merveilleux. Le personnel était aimable. Nous reviendrons certainement l'année prochaine.",
    "it": "L'albergo era bellissimo. Il personale era molto gentile. Torneremo sicuramente il prossimo anno.",
    "pt": "O hotel era maravilhoso. O pessoal era muito simpático. Vamos voltar no próximo ano com certeza.",
    "hi": "होटल बहुत अच्छा था। कर्मचारी मददगार थे। नाश्ता ठंडा था।",
    "es": "El hotel era maravilloso. El personal fue muy amable. Volveremos seguramente el próximo año.",
    "th": "โรงแรมดีมาก พนักงานเป็นมิตร อาหารเช้าอร่อย เราจะกลับมาอีก",
}
LABELS = {
    "invoice": "a bill that asks for the payment of goods or services",
    "complaint": "a customer is unhappy with a product or with the service",
    "other": "anything else",
}
SUMMARY = {
    "summary": {"type": "string", "description": "2 to 3 sentences, at most 60 words", "maxLength": 400},
    "key_points": {"type": "array", "items": {"type": "string", "maxLength": 90}, "maxItems": 2},
}
SENTIMENT = {
    "sentiment": {"type": "string", "enum": ["positive", "negative", "neutral", "mixed", "unknown"]},
    "confidence": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
    "rationale": {"type": ["string", "null"]},
}
CLASSIFICATION = {
    "label": {"type": "string", "enum": list(LABELS)},
    "others": {"type": "array", "items": {"enum": list(LABELS)}, "maxItems": 2},
    "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    "urgent": {"type": "boolean"},
    "pages": {"type": "integer", "minimum": 1},
    "detail": {"type": "object", "properties": {"title": {"type": "string"}}},
}
BEGUN = {"summary": '{"summary": "', "sentiment": '{"sentiment": "', "label": '{ "label":\n"'}
SCHEMAS: dict[str, dict[str, Any]] = {"summary": SUMMARY, "sentiment": SENTIMENT, "label": CLASSIFICATION}


def render(properties: dict[str, Any], *texts: str, begun: str = "", tag: str = "document") -> str:
    """A prompt in the form of the templates of this project."""
    schema = json.dumps({"type": "object", "properties": properties, "required": list(properties)})
    labels = "\n".join(f"- {label}: {description}" for label, description in LABELS.items())
    fences = "\n".join(f"<{tag}>\n{text}\n</{tag}>" for text in texts)
    return (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        f"{labels}\nAnswer with one JSON object that fits this JSON Schema:\n{schema}<|eot_id|>"
        f"<|start_header_id|>user<|end_header_id|>\n\nRead this.\n{fences}<|eot_id|>"
        f"<|start_header_id|>assistant<|end_header_id|>\n\n{begun}"
    )


def ask(properties: dict[str, Any], *texts: str, tag: str = "document", tokens: int = 500) -> dict[str, Any]:
    """The answer as the reader parses it: begun text and generation, checked against the schema."""
    begun = BEGUN.get(next(iter(properties)), "{")
    answer = json.loads(begun + Baseline().complete(render(properties, *texts, begun=begun, tag=tag), tokens, 0.0, 1.0))
    Draft202012Validator({"properties": properties, "required": list(properties)}).validate(answer)
    assert list(answer) == list(properties)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize("code", TEXTS)
@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_answered_in_every_language(code: str, name: str) -> None:
    """What was begun and what comes back are one JSON object that fits the schema, its properties in order."""
    assert ask(SCHEMAS[name], TEXTS[code])


@pytest.mark.parametrize("code", TEXTS)
def test_the_language_is_recognised(code: str) -> None:
    """All eight languages of the model."""
    assert language(TEXTS[code]) == code


@pytest.mark.parametrize("code", TEXTS)
def test_a_summary_is_made_of_the_sentences_of_the_text(code: str) -> None:
    """Nothing is invented: each sentence of the extract stands in the document, word for word."""
    answer = ask(SUMMARY, TEXTS[code])
    assert answer["summary"]
    assert all(part in TEXTS[code] for part in sentences(answer["summary"]))
    assert all(point in TEXTS[code] for point in answer["key_points"])


@pytest.mark.parametrize("code", [code for code in TEXTS if code != "en"])
def test_a_language_without_a_lexicon_is_unknown_and_never_neutral(code: str) -> None:
    """The German text is plainly negative; an English lexicon cannot know it, and the engine says so."""
    assert ask(SENTIMENT, TEXTS[code]) == {"sentiment": "unknown", "confidence": None, "rationale": None}
    assert ask({"tone": {"enum": ["positive", "negative", "neutral", None]}}, TEXTS[code]) == {"tone": None}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (TEXTS["en"], "positive"),
        ("The food was terrible, the room was dirty and we hated every minute of it.", "negative"),
        ("The train to the north leaves at nine and arrives at the station in the evening.", "neutral"),
        ("We loved the wonderful view from the room. The breakfast was disgusting and the staff were rude.", "mixed"),
    ],
)
def test_english_tone_comes_from_the_lexicon(text: str, label: str) -> None:
    """With the lexicon's own score as confidence."""
    answer = ask(SENTIMENT, text)
    assert answer["sentiment"] == label
    assert answer["confidence"] == abs(tone(text).compound or 0.0)


def test_a_mixed_text_takes_the_heavier_side_where_mixed_is_not_offered() -> None:
    """Only the labels of the schema are used, in its own spelling."""
    text = "We loved the wonderful view. We loved the amazing garden too. The breakfast was disgusting."
    assert tone(text).label == "mixed"
    assert ask({"sentiment": {"enum": ["POSITIVE", "NEGATIVE"]}}, text) == {"sentiment": "POSITIVE"}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Please pay the bill for the goods delivered in March: 300 dollars for services and goods.", "invoice"),
        ("I am a very unhappy customer: the product broke and your customer service never called.", "complaint"),
        ("।।।", "other"),
    ],
)
def test_the_label_is_the_most_similar_description(text: str, label: str) -> None:
    """A text that shares nothing with any label is "other" where that is offered."""
    assert ask(CLASSIFICATION, text)["label"] == label


def test_parts_are_read_together() -> None:
    """A reduce prompt's parts are one text, in their order."""
    answer = ask(SUMMARY, "The first part is about ships.", "The second part is about harbours.", tag="part")
    assert answer["summary"] == "The first part is about ships. The second part is about harbours."


def test_a_prompt_of_unknown_form_gets_an_extract_of_itself() -> None:
    """Of its last user turn where it has turns, else of all of it; it is not JSON."""
    user, assistant = (f"<|start_header_id|>{role}<|end_header_id|>\n\n" for role in ("user", "assistant"))
    turns = f"{user}Ships sail.<|eot_id|>{assistant}"
    assert Baseline().complete(turns, 100, 0.5, 0.9) == "Ships sail."
    assert Baseline().complete("Just some words.", 100, 0.5, 0.9) == "Just some words."
    assert Baseline().complete(" ", 100, 0.5, 0.9) == ""


def test_an_answer_begun_with_a_later_property_starts_there() -> None:
    """The object continues what the prompt began, whatever the schema's order is."""
    begun = '{"confidence": '
    answer = begun + Baseline().complete(render(SENTIMENT, TEXTS["en"], begun=begun), 200, 0.0, 1.0)
    assert json.loads(answer)["sentiment"] == "positive"


@pytest.mark.parametrize(
    ("description", "most_characters", "most_sentences"),
    [("one sentence", 400, 1), ("2 to 3 sentences", 400, 3), ("at most 10 words", 60, 3), ("100 characters", 100, 3)],
)
def test_the_description_bounds_the_extract(description: str, most_characters: int, most_sentences: int) -> None:
    """Lengths in words, characters or sentences are read from the property's description."""
    text = " ".join(f"Ship number {n} sails to harbour number {n * 7}." for n in range(50))
    summary = ask({"summary": {"type": "string", "description": description}}, text)["summary"]
    assert 0 < len(summary) <= most_characters
    assert len(sentences(summary)) <= most_sentences


def test_the_same_prompt_has_the_same_answer() -> None:
    """Another engine object, another temperature: the same bytes."""
    prompt = render(CLASSIFICATION, " ".join(TEXTS.values()))
    assert Baseline().complete(prompt, 300, 0.0, 1.0) == Baseline().complete(prompt, 300, 1.0, 0.1)


_HOSTILE = {
    "500 KB of sentences": " ".join(f"Ship {n} sails to the harbour in {n % 97} days." for n in range(12_000)),
    "no blank": "漢字" * 150_000,
    "one word": "abcdefghij" * 30_000,
    "blanks": " " * 300_000,
    "lines": "\n" * 300_000,
    "stops": '."' * 150_000,
    "lines and blanks": "\n " * 150_000,
    "opened fences": "<document>\n<part>\n" * 20_000,
    "label lines": "- a: b\n" * 40_000,
    "Thai": "โรงแรมดีมาก" * 27_000,
}


@pytest.mark.parametrize("code", TEXTS)
@pytest.mark.parametrize("name", ["classification", "sentiment", "summarization"])
def test_the_shipped_prompts_are_understood(name: str, code: str, vocabulary: LlamaVocabulary) -> None:
    """A long document in the real templates: the answer is whole within the declared tokens, without any repair."""
    analysis = load_analysis(shipped_prompts(), name, output_language="English")
    prompt = analysis.map.render(document=TEXTS[code] * 40, position=1, siblings=1)
    tokens = analysis.generation.max_output_tokens
    generation = Baseline().complete(prompt, tokens, 0.0, 1.0)
    parsed = parse_answer(generation, analysis.map.begun, analysis.validator, analysis.declaration.labels or {})
    assert parsed.answer is not None
    assert not parsed.cut
    assert vocabulary.text_tokens(generation) < tokens
    assert analysis.map.begun + generation == json.dumps(parsed.answer, ensure_ascii=False)


@pytest.mark.parametrize("name", _HOSTILE)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_no_text_is_too_long_or_too_strange(name: str, schema: str) -> None:
    """Every answer is valid and short; a quadratic step anywhere would end in the test's time limit."""
    assert len(json.dumps(ask(SCHEMAS[schema], _HOSTILE[name]))) < 8000
    assert len(sentences(_HOSTILE[name])) <= MAX_SENTENCES


@given(st.text(max_size=400))
@settings(max_examples=60, deadline=None)
def test_any_text_is_read_back_from_its_fence(text: str) -> None:
    """Whatever stands between the fences is what the engine reads, when no closing tag or control token is in it."""
    if "</document>" not in text and "<|" not in text:
        assert read_prompt(render(SUMMARY, text)).text == text
        assert ask(SUMMARY, text)


_WORDS = st.sampled_from(["type", "enum", "items", "properties", "anyOf", "minimum", "maxItems", "string", "array"])
_SCHEMA_WORDS = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=12,
)


@given(_SCHEMA_WORDS)
@settings(max_examples=80, deadline=None)
def test_any_schema_gets_some_answer(schema: object) -> None:
    """A schema of nonsense does not stop a job: the engine answers with something, or the record fails alone."""
    answer = Baseline().complete(render({"a": schema}, TEXTS["en"]), 100, 0.0, 1.0)
    assert isinstance(answer, str)
