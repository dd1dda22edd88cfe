"""The default engine: deterministic and offline; it extracts, counts words and compares letters, and says so."""

from __future__ import annotations

from pipeline.local.baseline.answering import complete_answer
from pipeline.local.baseline.extract import extract
from pipeline.local.baseline.reading import read_prompt

__all__ = ["Baseline"]

# Half of what Thai or Hindi needs for a token, a third of English: an answer that fits in any of the eight languages.
_CHARACTERS_PER_TOKEN = 1.5


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
        room_characters = max(40, int(max_output_tokens * _CHARACTERS_PER_TOKEN))
        if asked.schema is None:
            return extract(asked.text, sentences=3, room_characters=room_characters)
        return complete_answer(asked, room_characters)
