"""What a round need not send: known answers, other runs' batches, repetitions."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.known.sieve import LeftOut, Sieve, Why

KNOWN, AWAITED, REPEATED = Why.KNOWN, Why.AWAITED, Why.REPEATED

Found = list[tuple[int, int, Why, int]]


def an_id(number: int) -> str:
    """32 hexadecimal digits."""
    return f"{number:08x}" * 4


def ids(*numbers: int) -> pa.ChunkedArray:
    return pa.chunked_array([[an_id(number) for number in numbers]], pa.string())


def index(*numbers: int) -> pa.Table:
    """Requests whose first wording is their only one."""
    return pa.table({"record_id": ids(*numbers), "question_id": ids(*numbers)})


def fused(*requests: tuple[int, list[int]]) -> pa.Table:
    """Requests by record, each with the questions of its parts."""
    questions = ["+".join(map(an_id, parts)) for _, parts in requests]
    return pa.table(
        {"record_id": ids(*(record for record, _ in requests)), "question_id": pa.chunked_array([questions])}
    )


def found(
    segments: list[list[int]],
    known: list[list[int]],
    awaited: list[list[int]],
    take_over: Callable[[int], bool] = lambda _source: False,
) -> Found:
    with tempfile.TemporaryDirectory() as folder, Sieve(Path(folder)) as sieve:
        for number, records in enumerate(segments):
            sieve.add_wanted(number, index(*records))
        for number, questions in enumerate(known):
            sieve.add_known(number, ids(*questions))
        for number, records in enumerate(awaited):
            sieve.add_awaited(number, ids(*records))
        sieve.sift(take_over=take_over)
        return [as_tuple(one) for number in sieve.segments() for one in sieve.left_out(number)]


def as_tuple(one: LeftOut) -> tuple[int, int, Why, int]:
    return one.segment, one.place, one.why, one.source


def test_nothing_is_left_out_where_nothing_is_known() -> None:
    """Distinct requests that nobody answered or sent are all sent."""
    assert found([[1, 2], [3]], [[4]], [[5]]) == []


def test_an_answered_question_is_known_by_every_list_and_taken_from_the_first() -> None:
    """A question with answers in two lists is answered once, from the first of them."""
    assert found([[1, 2]], [[9, 2], [2]], []) == [(0, 1, KNOWN, 0)]


def test_known_goes_before_awaited_and_repeated() -> None:
    """Both copies of a known request are answered; neither waits for anybody."""
    assert found([[1], [1]], [[1]], [[1]]) == [(0, 0, KNOWN, 0), (1, 0, KNOWN, 0)]


def test_a_repeated_record_is_sent_where_it_stands_first() -> None:
    """Of copies of one text in three segments, the first is sent and the others share its answer."""
    assert found([[7], [1, 7], [7]], [], []) == [(1, 1, REPEATED, 0), (2, 0, REPEATED, 0)]


def test_what_can_be_had_is_not_awaited() -> None:
    """The records of a batch that was taken over are sent, each once."""
    assert found([[1, 2], [1]], [], [[1], [2]], lambda source: source == 0) == [
        (0, 1, AWAITED, 1),
        (1, 0, REPEATED, 0),
    ]


def test_only_what_is_wanted_is_taken_over() -> None:
    """A batch of another run that holds nothing of this round is left alone."""
    asked: list[int] = []
    found([[1]], [], [[2], [1], [3]], lambda source: bool(asked.append(source)))
    assert asked == [1]


def test_a_later_wording_is_known_by_its_first() -> None:
    """A corrected request is not sent when somebody has had an answer to the question meanwhile."""
    with tempfile.TemporaryDirectory() as folder, Sieve(Path(folder)) as sieve:
        sieve.add_wanted(0, pa.table({"record_id": ids(8), "question_id": ids(1)}))
        sieve.add_known(0, ids(1))
        sieve.sift(take_over=lambda _source: False)
        assert [as_tuple(one) for one in sieve.left_out(0)] == [(0, 0, KNOWN, 0)]
        answers = pa.table({"question_id": ids(1, 5), "answer": ["one", "five"]})
        assert sieve.answered(0, answers).to_pylist() == [
            {"segment": 0, "record_id": an_id(8), "question_id": an_id(1), "answer": "one"}
        ]


_NUMBERS = st.lists(st.integers(0, 6), max_size=5)
_LISTS = st.lists(_NUMBERS, max_size=3)


def expected(segments: list[list[int]], known: list[list[int]], awaited: list[list[int]]) -> Found:
    """The same, one request after the other."""
    result: Found = []
    first: dict[int, int] = {}
    for segment, records in enumerate(segments):
        for place, record in enumerate(records):
            answered = [source for source, one in enumerate(known) if record in one]
            sent = [source for source, one in enumerate(awaited) if record in one]
            if answered:
                result.append((segment, place, KNOWN, answered[0]))
            elif sent:
                result.append((segment, place, AWAITED, sent[0]))
            elif record in first:
                result.append((segment, place, REPEATED, first[record]))
            else:
                first[record] = segment
    return result


@settings(max_examples=40)  # each opens a database
@given(_LISTS, _LISTS, _LISTS)
def test_the_sieve_decides_as_one_would_by_hand(
    segments: list[list[int]], known: list[list[int]], awaited: list[list[int]]
) -> None:
    """Whatever overlaps, each request is left out for the first reason that holds, or sent once."""
    assert found(segments, known, awaited) == expected(segments, known, awaited)


def test_a_fused_request_is_known_when_all_its_parts_are() -> None:
    """Its answers may come from several lists; where one part is not known it is sent whole, once, or awaited."""
    wanted = fused((1, [11, 12]), (2, [21, 22]), (3, [31, 32]), (2, [21, 22]), (4, [12]))
    with tempfile.TemporaryDirectory() as folder, Sieve(Path(folder)) as sieve:
        sieve.add_wanted(0, wanted)
        sieve.add_known(0, ids(11, 21))
        sieve.add_known(1, ids(12, 21))
        sieve.add_awaited(0, ids(3))
        sieve.sift(take_over=lambda _source: False)
        left_out = [as_tuple(one)[1:3] for one in sieve.left_out(0)]
        assert left_out == [(0, KNOWN), (2, AWAITED), (3, REPEATED), (4, KNOWN)]
        assert [sieve.count(why) for why in Why] == [2, 1, 1]
        assert sieve.sources(KNOWN) == [0, 1]
        answers = [sieve.answered(0, pa.table({"question_id": ids(11, 21)}))]
        answers.append(sieve.answered(1, pa.table({"question_id": ids(12, 21)})))
    questions = [table["question_id"].to_pylist() for table in answers]
    assert questions == [[an_id(11)], [an_id(12), an_id(12)]]
    assert answers[1]["record_id"].to_pylist() == [an_id(1), an_id(4)]
