"""The native Llama body, Bedrock's messages about it, and the token counts of an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pipeline.local import llama
from pipeline.local.faults import Fault

if TYPE_CHECKING:
    from pipeline.local.vocabulary import LlamaVocabulary


@dataclass(frozen=True)
class Says:
    """An engine that gives one answer to everything."""

    text: str
    name: str = "says"

    def complete(self, prompt: str, max_output_tokens: int, temperature: float, top_p: float) -> str:  # noqa: ARG002 - the seam's
        return self.text


_BODIES = [
    ({"prompt": "x", "max_gen_len": 8192}, "#/max_gen_len: 8192 is not less or equal to 2048"),
    ({"prompt": "x", "max_gen_len": 0}, "#/max_gen_len: 0 is not greater or equal to 1"),
    ({"prompt": "x", "max_gen_len": "9"}, "#/max_gen_len: expected type: Integer, found: String"),
    ({"prompt": "x", "max_gen_len": 9.5}, "#/max_gen_len: expected type: Integer, found: BigDecimal"),
    ({"prompt": "x", "temperature": 1.5}, "#/temperature: 1.5 is not less or equal to 1"),
    ({"prompt": "x", "temperature": True}, "#/temperature: expected type: Number, found: Boolean"),
    ({"prompt": "x", "top_p": -1}, "#/top_p: -1 is not greater or equal to 0"),
    ({"prompt": "x", "top_k": 5}, "#: extraneous key [top_k] is not permitted"),
    ({"prompt": ""}, "#/prompt: expected minLength: 1, actual: 0"),
    ({"prompt": None}, "#/prompt: expected type: String, found: Null"),
    ({"prompt": ["x"]}, "#/prompt: expected type: String, found: JSONArray"),
    (
        {"messages": []},
        "#: required key [prompt] not found#: extraneous key [messages] is not permitted",
    ),
    ([], "#: expected type: JSONObject, found: JSONArray"),
]


@pytest.mark.parametrize(("body", "problem"), _BODIES)
def test_a_wrong_body_gets_the_message_of_bedrock(body: object, problem: str) -> None:
    """The words are those of recorded traffic, around the problem."""
    with pytest.raises(Fault) as caught:
        llama.check_body(body)
    assert caught.value.message == (f"Malformed input request: {problem}, please reformat your input and try again.")


def test_defaults_are_filled_in() -> None:
    """A body of a prompt alone means 512 tokens at temperature 0.5 and top_p 0.9."""
    assert llama.check_body({"prompt": "x"}) == llama.Body("x", 512, 0.5, 0.9)


@pytest.mark.parametrize(
    "model",
    [
        "meta.llama3-1-8b-instruct-v1:0",
        "us.meta.llama3-1-8b-instruct-v1:0",
        "arn:aws:bedrock:us-west-2::foundation-model/meta.llama3-1-8b-instruct-v1:0",
        "arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.meta.llama3-1-8b-instruct-v1:0",
    ],
)
def test_an_id_a_profile_and_their_arns_are_one_base_model(model: str) -> None:
    """Quotas count by base model."""
    assert llama.base_model(model) == "meta.llama3-1-8b-instruct-v1:0"


@pytest.mark.parametrize(
    "model",
    [
        "meta.llama3-1-8b-instruct-v10",
        "eu.meta.llama3-1-8b-instruct-v1:0",
        "arn:aws:bedrock:eu-west-1::foundation-model/meta.llama3-1-8b-instruct-v1:0",
        "arn:aws:bedrock:us-west-2::foundation-model/us.meta.llama3-1-8b-instruct-v1:0",
        "arn:aws:bedrock:us-west-2:123456789012:inference-profile/meta.llama3-1-8b-instruct-v1:0",
        "arn:aws:bedrock:us-west-2:123456789012:provisioned-model/abcdefghijkl",
    ],
)
def test_another_id_is_invalid(model: str) -> None:
    """Including the spelling of the product page, which passes every pattern."""
    with pytest.raises(Fault, match=r"The provided model identifier is invalid\."):
        llama.base_model(model)


@pytest.mark.parametrize("kind", ["provisioned-model", "imported-model", "custom-model-deployment"])
def test_models_of_ones_own_are_invoked_only(kind: str) -> None:
    """InvokeModel takes their ARNs, CreateModelInvocationJob refuses them."""
    arn = f"arn:aws:bedrock:us-west-2:123456789012:{kind}/abcdefghijkl"
    llama.refuse_unknown(arn)
    with pytest.raises(Fault, match="invalid"):
        llama.base_model(arn)
    with pytest.raises(Fault, match="invalid"):
        llama.refuse_unknown(arn.replace("us-west-2", "us-east-1"))


def test_a_stopped_answer_counts_its_end_token(vocabulary: LlamaVocabulary) -> None:
    """Two tokens of text and the end token make three; the prompt's control tokens count one each, none is added."""
    prompt = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHello world!<|eot_id|>"
    answer = llama.answer(Says("Hello world"), vocabulary, llama.Body(prompt))
    assert (answer.prompt_tokens, answer.generation_tokens, answer.stop_reason) == (9, 3, "stop")
    assert llama.answer(Says(""), vocabulary, llama.Body("Hello world!")).prompt_tokens == 3


@pytest.mark.parametrize(("limit", "expected"), [(6, ("length", 6)), (7, ("stop", 7)), (3, ("length", 3))])
def test_a_long_answer_ends_at_the_limit(vocabulary: LlamaVocabulary, limit: int, expected: tuple[str, int]) -> None:
    """Six tokens of text need a limit of seven to end by themselves."""
    answer = llama.answer(Says("This is a test sentence."), vocabulary, llama.Body("x", max_gen_len=limit))
    assert (answer.stop_reason, answer.generation_tokens) == expected
    assert "This is a test sentence.".startswith(answer.generation)
    assert vocabulary.text_tokens(answer.generation) == min(limit, 6)


def test_a_prompt_beyond_the_window_is_refused(vocabulary: LlamaVocabulary) -> None:
    """128,000 tokens of prompt leave no room; 127,999 leave one token."""
    with pytest.raises(Fault, match="maximum context length is 128000 tokens"):
        llama.answer(Says("x"), vocabulary, llama.Body("a " * 127_999 + "a"))
    answer = llama.answer(Says("Hello world"), vocabulary, llama.Body("a " * 127_998 + "a"))
    assert (answer.generation, answer.generation_tokens, answer.stop_reason) == ("Hello", 1, "length")
