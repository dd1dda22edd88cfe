"""The benchmarks run: what they print is README's, so a change that breaks one must not wait for the next reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import collect, forecast, format_files, formats, history, memory, million, prepare, waiting
from benchmarks.job_server import serving
from benchmarks.measuring import in_child

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FEW = 40


@pytest.mark.parametrize("place", [prepare.MEMORY, prepare.FOLDER])
def test_preparing_is_measured(place: str) -> None:
    """Listing and preparing a few documents takes some time, from memory and from a folder."""
    assert all(seconds > 0 for seconds in prepare.measure_ours(prepare.ONE, place, FEW))
    assert prepare.measure_floor(prepare.ONE, FEW) > 0


def test_collecting_is_measured() -> None:
    """The floor, collect and fold each take some time, on answers that were checked."""
    assert all(seconds > 0 for seconds in collect.measure(FEW))


def test_memory_is_measured() -> None:
    """Each part of a run ends with at least the memory it began with."""
    assert all(0 < before <= after for before, after in memory.peaks(FEW).values())


def test_a_forecast_is_measured(tmp_path: Path) -> None:
    """A forecast of a folder reports the tokens that it expects."""
    forecast.write(str(tmp_path), FEW)
    _seconds, _cpu, tokens = forecast.forecast(str(tmp_path), FEW)
    assert int(tokens.split()[0].replace(",", "")) > FEW


@pytest.mark.parametrize("make", [waiting.ours, waiting.of_provider])
def test_waiting_is_measured(make: Callable[[str], object]) -> None:
    """A few triggers in Airflow's runner see the ends of their jobs, and not before they came."""
    with serving(FEW, 1.0, 3.0) as server:
        waited = in_child(waiting.wait, server.url, server.ends, make, 1.0)
        assert server.calls() >= 1
    assert len(waited.delays_seconds) == FEW
    assert waited.cpu_seconds > 0


@pytest.mark.parametrize("form", format_files.WRITERS)
def test_reading_a_format_is_measured(form: str) -> None:
    """docbatch reads the files of every format, all of their text, in this process and in its workers."""
    found = formats.measure(form, "docbatch")
    assert (found.failed, found.recall) == (0, 1.0)
    assert found.per_second > 0
    assert formats.measure_pool(form) > 0


def test_every_format_is_compared_with_two_libraries() -> None:
    """Each has two others beside it, where two were found that read it."""
    few = {form for form, others in formats.OTHERS.items() if len(others) < 2}
    assert few == {"odp"}
    assert formats.OTHERS.keys() == format_files.WRITERS.keys()


def test_text_in_another_order_is_not_found() -> None:
    """What counts is the longest run of letters in their order, whatever lies between."""
    assert formats.common("abcdef", "xaxbxcxdxexfx") == 6
    assert formats.common("abcdef", "defabc") == 3
    assert formats.common("abc", "") == 0
    assert formats.letters("Zoë | 1,250 \n# ก") == "Zoë1250ก"


def test_a_library_that_fails_has_found_nothing() -> None:
    """What is not read counts as text that is not found, and why is kept."""
    found = formats.measure("csv", "pypdfium2")
    assert (found.failed, found.recall) == (len(format_files.files("csv")), 0.0)
    assert found.why


def test_two_nights_over_many_objects_are_measured() -> None:
    """The first night reads and asks about every object, the second one none."""
    shards, parts = million.nights(FEW)
    assert shards == 1
    assert [one.count for one in parts.values()] == [FEW, FEW, FEW, 0, 0, 0]
    assert all(0 < one.before_bytes <= one.peak_bytes for one in parts.values())


def test_a_history_is_measured(tmp_path: Path) -> None:
    """Runs are written one by one and at once, and every reader finds what they hold."""
    commits = history.write_history(str(tmp_path), (1, 2))
    assert [size > 0 for _, size in commits.values()] == [True, True]
    history.write_at_once(str(tmp_path), 3, 4)
    found = {name: look(history.opened(str(tmp_path)), tmp_path) for name, look in history.LOOKS.items()}
    assert found.pop("docbatch show summarization --limit 5") == 5
    assert found["runs that are published"] == 4
    assert found["count the latest summaries"] == found["pandas.read_parquet(folder)"] == 4 * history.DOCUMENTS
