"""The pace of on-demand calls: so many a minute, so many tokens a minute, and slower while Bedrock throttles."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_SECONDS = 60.0
BYTES_PER_TOKEN = 3  # English prose has about 4, other languages and JSON less: a guess until the answer counts
SLOWEST_PER_MINUTE = 6.0
UNLIMITED_PER_MINUTE = 1_000.0  # what a first throttling halves where no limit is set
RECOVERY_PER_MINUTE = 5.0  # added at each answer
SHORTEST_SLEEP_SECONDS = 0.001  # shorter ones may be lost in the rounding of a clock


@dataclass(slots=True)
class Call:
    """One call that was let through; `tokens` is a guess until `Pacer.answered` says better."""

    at: float
    tokens: int


class Pacer:
    """Lets calls through, one after the other, from any thread. None means no limit. `clock` is in seconds.

    The calls of any 60 s stay within both limits. On throttling the pace halves and calls are spread evenly; every
    answer speeds it up a little, until the limits alone decide again (additive increase, multiplicative decrease).
    """

    def __init__(
        self,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._requests, self._tokens = requests_per_minute, tokens_per_minute
        self._clock, self._sleep = clock, sleep
        self._fastest = float(requests_per_minute or UNLIMITED_PER_MINUTE)
        self._slowest = min(SLOWEST_PER_MINUTE, self._fastest)
        self._pace: float | None = None  # calls a minute while slowed down
        self._slowed = float("-inf")
        self._calls: deque[Call] = deque()
        self._in_window_tokens = 0
        self._lock = threading.Lock()

    def enter(self, tokens: int) -> Call:
        """Wait for a turn. A call that alone exceeds the limit of tokens has it when no other is in the window."""
        while True:
            with self._lock:
                now = self._clock()
                pause = self._pause(now, tokens)
                if pause <= 0:
                    return self._admit(now, tokens)
            self._sleep(max(pause, SHORTEST_SLEEP_SECONDS))

    def answered(self, call: Call, tokens: int | None) -> None:
        """An answer came; `tokens` is what it used, None where it does not say."""
        with self._lock:
            if tokens is not None:
                self._count(call, tokens)
            if self._pace is not None:
                faster = self._pace + RECOVERY_PER_MINUTE
                self._pace = faster if faster < self._fastest else None

    def refused(self, call: Call, *, too_many: bool) -> None:
        """Bedrock refused the call, and so used no tokens.

        `too_many` says that it throttled: calls of one moment that are all throttled slow the pace down once.
        """
        with self._lock:
            self._count(call, 0)
            if too_many and call.at >= self._slowed:
                self._pace = max(self._slowest, (self._pace or self._fastest) / 2)
                self._slowed = self._clock()

    def _count(self, call: Call, tokens: int) -> None:
        if self._calls and call.at >= self._calls[0].at:
            self._in_window_tokens += tokens - call.tokens
        call.tokens = tokens

    @property
    def calls_per_minute(self) -> float | None:
        """The pace while slowed down by throttling; None while the limits alone decide."""
        return self._pace

    def _admit(self, now: float, tokens: int) -> Call:
        call = Call(now, tokens)
        self._calls.append(call)
        self._in_window_tokens += tokens
        return call

    def _pause(self, now: float, tokens: int) -> float:
        """Seconds until a call of that many tokens may be tried; 0 means now."""
        while self._calls and self._calls[0].at + WINDOW_SECONDS <= now:
            self._in_window_tokens -= self._calls.popleft().tokens
        if not self._calls:
            return 0.0
        oldest, newest = self._calls[0].at, self._calls[-1].at
        apart = newest + WINDOW_SECONDS / self._pace - now if self._pace else 0.0
        return max(apart, oldest + WINDOW_SECONDS - now if self._full(tokens) else 0.0)

    def _full(self, tokens: int) -> bool:
        requests = self._requests is not None and len(self._calls) >= self._requests
        return requests or (self._tokens is not None and self._in_window_tokens + tokens > self._tokens)


def guess_tokens(body_bytes: int, max_output_tokens: int) -> int:
    """What a call may use: Bedrock reserves the answer's limit when the call begins (user guide, token burndown)."""
    return -(-body_bytes // BYTES_PER_TOKEN) + max_output_tokens
