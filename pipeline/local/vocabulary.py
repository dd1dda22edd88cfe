"""Llama's token counts for the endpoint, from `pipeline.tokens`, loaded once."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.tokens import TokenCounter, count_prompt, load_counter, truncate


@dataclass(frozen=True, slots=True)
class LlamaVocabulary:
    """Counts prompts (control tokens are one token each) and plain texts."""

    counter: TokenCounter

    @classmethod
    def load(cls) -> LlamaVocabulary:
        # The quicker counter would cost this always-on process 270 MB.
        return cls(load_counter(fast=False))

    def prompt_tokens(self, prompt: str) -> int:
        return count_prompt(prompt, self.counter)

    def text_tokens(self, text: str) -> int:
        return self.counter.count(text)

    def truncate(self, text: str, limit_tokens: int) -> str:
        return truncate(text, limit_tokens, self.counter)
