"""What a shard's preparation counts for the forecast alone: every prompt of few texts, windows of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.forecasts.densities import Density, sample
from pipeline.forecasts.outlooks import Outlook
from pipeline.planning import Mapper, Planner, Rendered
from pipeline.tokens import TokenCounter, count_prompt

# So many windows of text are counted; every prompt, when the texts are no more than this.
WINDOWS = 160
COUNTED_BYTES = 500_000


class Sampler:
    """Looks at the texts of documents of these sizes; what it found is in its outlook, which has no requests.

    `quick` says that the counter takes so little time that every text is counted.
    """

    def __init__(
        self, planners: Mapping[str, Planner], counter: TokenCounter, sizes_bytes: Sequence[int], *, quick: bool = False
    ) -> None:
        self._counter, self._quick = counter, quick
        self._all = sum(sizes_bytes) <= COUNTED_BYTES
        self._bytes_a_window = max(1.0, sum(sizes_bytes) / WINDOWS)
        self._densities: dict[str, Density] = {}
        self._bases = {name: one.base for name, one in planners.items()}
        self.outlook = Outlook({}, self._densities, self._bases)

    def expect(self, mapper: Mapper) -> None:
        """Requests of this kind are to come; before they are forecast."""
        self._bases.setdefault(mapper.asked.name, mapper.base)

    def look(self, text: str, content_hash: str, language: str) -> None:
        """Count the windows of a text whose prompts are not all counted. Which, its hash decides."""
        found = sample(text, content_hash, self._bytes_a_window, self._counter)
        if found.windows:
            self._densities[language] = self._densities.get(language, Density()) + found

    def tokens_of(self, text: str) -> int | None:
        """The exact tokens of a text; None where to count all would cost more than all else that is done with them."""
        return self._counter.count(text) if self._all or self._quick else None

    def counted(self, rendered: Rendered) -> Rendered:
        """The request with its tokens, where all are counted."""
        request, prompt = rendered
        if not self._all or request.input_tokens is not None:
            return rendered
        return replace(request, input_tokens=count_prompt(prompt, self._counter), language=None), prompt
