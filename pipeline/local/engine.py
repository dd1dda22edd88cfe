"""The seam behind which answers are made: a prompt goes in, the continuation of its text comes out."""

from __future__ import annotations

from typing import Protocol

from pipeline.errors import StackError

_OPENAI = "openai:"


class Engine(Protocol):
    """`name` goes beside every answer, so that no table takes it for Llama's."""

    @property
    def name(self) -> str: ...

    def complete(self, prompt: str, max_output_tokens: int, temperature: float, top_p: float) -> str:
        """The text that follows `prompt`; raises pipeline.errors.ServiceBusy where asking later may help."""
        ...


def load_engine(spec: str) -> Engine:
    """`baseline`, or `openai:<base url>` of any server that offers POST <base url>/completions.

    Raises:
        StackError: the spec names neither.
    """
    check_spec(spec)
    if spec == "baseline":
        from pipeline.local.baseline import Baseline

        return Baseline()
    from pipeline.local.openai import Completions

    return Completions.connect(spec.removeprefix(_OPENAI))


def check_spec(spec: str) -> None:
    """Raise a StackError unless `spec` is one of the two forms that `load_engine` knows."""
    if spec != "baseline" and not spec.startswith((_OPENAI + "http://", _OPENAI + "https://")):
        raise StackError(
            f"There is no engine {spec!r}. Use 'baseline', or 'openai:<base url>' such as "
            "'openai:http://127.0.0.1:8000/v1'."
        )
