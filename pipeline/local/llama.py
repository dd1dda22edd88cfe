"""Meta Llama as Bedrock serves it: model ids, the native body with its error messages, token counts, the window."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.local.faults import invalid
from pipeline.models import ON_DEMAND_ARNS, load_catalogue

if TYPE_CHECKING:
    from pipeline.local.engine import Engine

WINDOW_TOKENS = 128_000
REGION = "us-west-2"
ACCOUNT_ID = "000000000000"

_MODELS = {name: model.id for model in load_catalogue() for name in (model.id, *model.profiles)}
_ARN = re.compile(rf"arn:aws:bedrock:{REGION}:(?:\d{{12}})?:(foundation-model|inference-profile)/(.+)")
_OWN_MODEL = re.compile(rf"arn:aws:bedrock:{REGION}:\d{{12}}:({'|'.join(ON_DEMAND_ARNS)})/[a-z0-9]{{12}}")


class Vocabulary(Protocol):
    """What this module needs of `pipeline.tokens`."""

    def prompt_tokens(self, prompt: str) -> int: ...

    def text_tokens(self, text: str) -> int: ...

    def truncate(self, text: str, limit_tokens: int) -> str: ...


@dataclass(frozen=True, slots=True)
class Body:
    """A checked InvokeModel body of the Llama family, defaults filled in."""

    prompt: str
    max_gen_len: int = 512
    temperature: float = 0.5
    top_p: float = 0.9


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer as it goes on the wire. `generation_tokens` counts the end token when `stop_reason` is stop."""

    generation: str
    prompt_tokens: int
    generation_tokens: int
    stop_reason: str
    engine: str

    def body(self) -> dict[str, Any]:
        """Bedrock's keys, and `engine`: real Bedrock never sends it, so nobody takes this for Llama's answer."""
        return {
            "generation": self.generation,
            "prompt_token_count": self.prompt_tokens,
            "generation_token_count": self.generation_tokens,
            "stop_reason": self.stop_reason,
            "engine": self.engine,
        }


def base_model(model_id: str) -> str:
    """The foundation model behind an id, a profile or an ARN of either; raises the service's refusal."""
    arn = _ARN.fullmatch(model_id)
    name = arn[2] if arn else model_id
    base = _MODELS.get(name)
    if base is None or (arn and (arn[1] == "inference-profile") != (name != base)):
        raise invalid("The provided model identifier is invalid.")
    return base


def refuse_unknown(model_id: str) -> None:
    """Raises the service's refusal unless InvokeModel takes it: also provisioned, imported and deployed models."""
    if not _OWN_MODEL.fullmatch(model_id):
        base_model(model_id)


def check_body(body: object) -> Body:
    """A Body of `body`, or the ValidationException that Bedrock's JSON schema check gives for it."""
    if not isinstance(body, dict):
        raise _malformed([f"#: expected type: JSONObject, found: {_json_type(body)}"])
    problems = ["#: required key [prompt] not found"] if "prompt" not in body else []
    problems += [f"#: extraneous key [{key}] is not permitted" for key in body if key not in _CHECKS]
    problems += [f"#/{key}: {problem}" for key, check in _CHECKS.items() if key in body for problem in check(body[key])]
    if problems:
        raise _malformed(problems)
    return Body(**body)


def answer(engine: Engine, vocabulary: Vocabulary, body: Body) -> Completion:
    """Complete a checked body, counting with Llama's own vocabulary and without an implicit begin token.

    Raises:
        Fault: the prompt does not fit the window.
        ServiceBusy, ServiceRejected: what the engine raised.
    """
    prompt_tokens = vocabulary.prompt_tokens(body.prompt)
    room = WINDOW_TOKENS - prompt_tokens
    if room <= 0:
        raise invalid(
            f"This model's maximum context length is {WINDOW_TOKENS} tokens. Please reduce the length of the prompt"
        )
    limit = min(body.max_gen_len, room)
    text = engine.complete(body.prompt, limit, body.temperature, body.top_p)
    tokens = vocabulary.text_tokens(text)
    if tokens < limit:
        return Completion(text, prompt_tokens, tokens + 1, "stop", engine.name)
    return Completion(vocabulary.truncate(text, limit), prompt_tokens, limit, "length", engine.name)


def _malformed(problems: list[str]) -> Exception:
    return invalid(f"Malformed input request: {''.join(problems)}, please reformat your input and try again.")


def _text_problems(value: object) -> list[str]:
    if not isinstance(value, str):
        return [f"expected type: String, found: {_json_type(value)}"]
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: JSON can write it, but it is no character and has no tokens
        return ["not valid Unicode"]
    return [] if value else ["expected minLength: 1, actual: 0"]


def _length_problems(value: object) -> list[str]:
    if isinstance(value, bool) or not isinstance(value, int):
        return [f"expected type: Integer, found: {_json_type(value)}"]
    return _range_problems(value, 1, 2048)


def _share_problems(value: object) -> list[str]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return [f"expected type: Number, found: {_json_type(value)}"]
    return _range_problems(value, 0, 1)


def _range_problems(value: float, least: int, most: int) -> list[str]:
    if value < least:
        return [f"{value} is not greater or equal to {least}"]
    return [] if value <= most else [f"{value} is not less or equal to {most}"]


_CHECKS = {
    "prompt": _text_problems,
    "max_gen_len": _length_problems,
    "temperature": _share_problems,
    "top_p": _share_problems,
}


def _json_type(value: object) -> str:
    """The names that the Java schema library behind Bedrock's messages gives to JSON types."""
    if value is None:
        return "Null"
    names = {bool: "Boolean", int: "Integer", float: "BigDecimal", str: "String", list: "JSONArray", dict: "JSONObject"}
    return names.get(type(value), type(value).__name__)
