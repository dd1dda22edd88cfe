"""The default engine: deterministic and offline; it extracts, counts words and compares letters, and says so."""

from __future__ import annotations

from pipeline.local.baseline.answering import complete_answer
from pipeline.local.baseline.extract import extract
from pipeline.local.baseline.reading import read_prompt

__all__ = ["Baseline"]

# Llama's vocabulary gives some 4.5 characters to a token of English and 1.7 of Hindi (tokens.md); with room to spare.
_CHARACTERS_PER_TOKEN = 3.0
_CHARACTERS_PER_TOKEN_ELSEWHERE = 1.3
_MOSTLY_ASCII = 1.2  # UTF-8 bytes per character
_SAMPLE_CHARACTERS = 4000


class Baseline:
    """Answers in the schema that a prompt asks for; a prompt of any other form gets an extract of itself.

    Temperature and top_p change nothing: the same prompt has the same answer on every machine.
    """

    @property
    def name(self) -> str:
        return "baseline"

    def complete(self, prompt: str, max_output_tokens: int, temperature: float, top_p: float) -> str:  # noqa: ARG002 - the seam's
        """The continuation of `prompt`; never fails, whatever the prompt holds."""
        asked = read_prompt(prompt)
        room_characters = _room(asked.text, max_output_tokens)
        if asked.schema is None:
            return extract(asked.text, sentences=3, room_characters=room_characters)
        return complete_answer(asked, room_characters)


def _room(text: str, tokens: int) -> int:
    """How many characters of such a text fit into so many tokens, so that an answer is rarely cut off."""
    sample = text[:_SAMPLE_CHARACTERS]
    width = len(sample.encode("utf-8", "replace")) / max(1, len(sample))
    return max(40, int(tokens * (_CHARACTERS_PER_TOKEN if width < _MOSTLY_ASCII else _CHARACTERS_PER_TOKEN_ELSEWHERE)))
