"""The pace of on-demand calls: never above the limits, slower when told, quick again afterwards."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bedrock.pacing import RECOVERY_PER_MINUTE, SLOWEST_PER_MINUTE, WINDOW_SECONDS, Pacer, guess_tokens


@dataclass
class Time:
    """A clock that only sleeping moves."""

    now: float = 1000.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def pacer(time: Time, requests: int | None = None, tokens: int | None = None) -> Pacer:
    return Pacer(requests, tokens, time.clock, time.sleep)


def most_in_a_window(calls: list[tuple[float, int]]) -> tuple[int, int]:
    """The most calls, and the most tokens, in any 60 s that begin with a call; the end is not in it."""
    windows = [[n for at, n in calls if start <= at < start + WINDOW_SECONDS] for start, _ in calls]
    return max(map(len, windows)), max(map(sum, windows))


@given(
    requests=st.integers(1, 20),
    tokens=st.integers(50, 200),
    needs=st.lists(st.tuples(st.integers(1, 50), st.floats(0, 20), st.booleans()), min_size=1, max_size=80),
)
def test_no_window_exceeds_a_limit(requests: int, tokens: int, needs: list[tuple[int, float, bool]]) -> None:
    """Whatever the calls need, whenever they come and whether they are throttled, any 60 s stay within both limits."""
    time, admitted = Time(), []
    paced = pacer(time, requests, tokens)
    for need, pause, throttled in needs:
        time.now += pause
        call = paced.enter(need)
        admitted.append((call.at, 0 if throttled else need))
        paced.refused(call, too_many=True) if throttled else paced.answered(call, need)
    most_calls, most_tokens = most_in_a_window(admitted)
    assert most_calls <= requests
    assert most_tokens <= tokens


def test_without_limits_nobody_waits() -> None:
    """None is no limit."""
    time = Time()
    paced = pacer(time)
    for _ in range(5000):
        paced.enter(10**6)
    assert time.now == 1000.0


def test_the_limit_is_used_up_before_anybody_waits() -> None:
    """A small round does not wait at all; the first call too many waits for the window to move on."""
    time = Time()
    paced = pacer(time, requests=3)
    for _ in range(3):
        paced.enter(1)
    assert time.now == 1000.0
    paced.enter(1)
    assert time.now == pytest.approx(1060.0)


def test_an_answer_that_used_less_makes_room() -> None:
    """The guess counts until the answer tells; then what was used."""
    time = Time()
    paced = pacer(time, tokens=100)
    first = paced.enter(90)
    paced.answered(first, 10)
    paced.enter(90)
    assert time.now == 1000.0
    paced.enter(1)
    assert time.now == pytest.approx(1060.0)


def test_a_refusal_uses_no_tokens() -> None:
    """The next call need not wait for what was never used; a refusal that is no throttling leaves the pace alone."""
    time = Time()
    paced = pacer(time, tokens=100)
    paced.refused(paced.enter(90), too_many=False)
    paced.enter(100)
    assert time.now == 1000.0
    assert paced.calls_per_minute is None


def test_an_answer_after_its_window_changes_nothing() -> None:
    """What has left the window cannot make room in it."""
    time = Time()
    paced = pacer(time, tokens=100)
    first = paced.enter(90)
    time.now += 100
    paced.enter(60)
    paced.answered(first, 0)
    paced.enter(60)
    assert time.now == pytest.approx(1160.0)


def test_a_call_above_the_limit_of_tokens_goes_alone() -> None:
    """It cannot wait for ever: it has its turn when the window is empty."""
    time = Time()
    paced = pacer(time, tokens=100)
    paced.enter(1)
    paced.enter(500)
    assert time.now == pytest.approx(1060.0)
    paced.enter(1)
    assert time.now == pytest.approx(1120.0)


def test_throttling_halves_the_pace_down_to_a_floor() -> None:
    """Each throttling of a later call halves; calls of one moment halve once; the calls are spread evenly."""
    time = Time()
    paced = pacer(time, requests=80)
    together = [paced.enter(1) for _ in range(8)]
    time.now += 1
    for call in together:
        paced.refused(call, too_many=True)
    assert paced.calls_per_minute == 40
    before = time.now = time.now + 10
    paced.enter(1)
    later = paced.enter(1)
    assert time.now - before == pytest.approx(60 / 40)
    paced.refused(later, too_many=True)
    assert paced.calls_per_minute == 20
    for _ in range(10):
        paced.refused(paced.enter(1), too_many=True)
    assert paced.calls_per_minute == SLOWEST_PER_MINUTE


def test_answers_bring_the_pace_back() -> None:
    """Each adds a little, until the limits alone decide."""
    time = Time()
    paced = pacer(time, requests=20)
    paced.refused(paced.enter(1), too_many=True)
    assert paced.calls_per_minute == 10
    paced.answered(paced.enter(1), None)
    assert paced.calls_per_minute == 10 + RECOVERY_PER_MINUTE
    paced.answered(paced.enter(1), None)
    assert paced.calls_per_minute is None


def test_many_threads_share_the_limits() -> None:
    """Threads at the same moment are counted together."""
    admitted: list[tuple[float, int]] = []
    lock, time = threading.Lock(), Time()

    def sleep(seconds: float) -> None:
        with lock:
            time.now += seconds

    paced = Pacer(10, 100, time.clock, sleep)

    def ask() -> None:
        for need in (5, 20, 1, 40):
            call = paced.enter(need)
            with lock:
                admitted.append((call.at, need))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 48
    most_calls, most_tokens = most_in_a_window(admitted)
    assert most_calls <= 10
    assert most_tokens <= 100


@pytest.mark.parametrize(("size", "most", "tokens"), [(0, 0, 0), (1, 0, 1), (3, 5, 6), (4, 5, 7)])
def test_a_guess_holds_the_whole_answer(size: int, most: int, tokens: int) -> None:
    """A third of the bytes, rounded up, and the answer's limit."""
    assert guess_tokens(size, most) == tokens
