"""Which price a run takes, models that batch refuses, and models that are billed by time."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.connecting import tell_lifecycle
from pipeline.errors import SettingsError
from pipeline.models import load_catalogue
from pipeline.steps import start
from pipeline.terminal.console import print_summary
from tests.world import TODAY, World

LLAMA_8B = "meta.llama3-1-8b-instruct-v1:0"
LATER = """
[[model]]
id = "meta.llama3-1-8b-instruct-v1:0"

[[model.price]]
mode = "{mode}"
regions = ["us-west-2"]
input_usd = "{usd}"
output_usd = "{usd}"
since = {since}
source = "a letter from AWS"
"""
ACCOUNT = "arn:aws:bedrock:us-west-2:123456789012"
BY_TIME = """
[[model]]
id = "{arn}"
family = "llama3"
window_tokens = 128_000
max_output_tokens = 2_048
batch = false
billing = "{billing}"

[[model.time_price]]
units = 2
usd = "{usd}"
since = 2026-11-01
source = "our order"
"""
PROVISIONED = BY_TIME.format(arn=f"{ACCOUNT}:provisioned-model/abcdefghijkl", billing="provisioned", usd="24.00")
IMPORTED = BY_TIME.format(arn=f"{ACCOUNT}:imported-model/abcdefghijkl", billing="imported", usd="0.05718")


def with_models(world: World, content: str, **settings: Any) -> Path:
    """The world with a catalogue file of its own; the file."""
    path = world.folder / "own.toml"
    path.write_text(content)
    world.with_settings(models=path, **settings)
    return path


def test_a_run_takes_the_price_of_its_date(world: World) -> None:
    """A price of one's own holds from its date on: the run of the day before has the one that ships."""
    with_models(world, LATER.format(mode="batch", usd="0.05", since=TODAY))
    world.put_many(4)
    world.run("today")
    world.run("yesterday", day=TODAY - dt.timedelta(days=1), force=True)
    prices = {
        key: {row["input_usd_per_million"] for row in world.rows("ledger", key)} for key in ("today", "yesterday")
    }
    assert prices == {"today": {Decimal("0.05")}, "yesterday": {Decimal("0.11")}}
    assert {row["price_since"] for row in world.rows("ledger", "today")} == {TODAY}


def test_a_later_price_changes_nothing_that_is_written(world: World) -> None:
    """A run keeps the price that it began with, also where it goes on after the price has changed; files stay."""
    world.put_many(4)
    summary = world.run("before")
    files = world.files()
    for number in range(4):
        world.put(f"more {number}.txt", f"One more document, number {number}.")
    start(world.services, world.order("begun"))
    with_models(world, LATER.format(mode="batch", usd="99", since="2026-01-01"))
    begun, again = world.run("begun"), world.run("before")
    assert again == summary
    assert {path: world.files()[path] for path in files} == files
    assert {row["input_usd_per_million"] for row in world.rows("ledger", "begun")} == {Decimal("0.11")}
    assert begun.cost_usd == sum(row["cost_usd"] for row in world.rows("ledger", "begun"))


def test_prices_are_those_of_the_region(world: World) -> None:
    """A price for another region is not taken for one's own; where only that is known, costs are unknown."""
    world.put_many(4)
    elsewhere = LATER.format(mode="batch", usd="0.05", since="2026-01-01").replace("us-west-2", "eu-west-1")
    with_models(world, elsewhere)
    world.run("known")
    with_models(
        world, elsewhere.replace(LLAMA_8B, "meta.llama3-2-1b-instruct-v1:0"), model="us.meta.llama3-2-1b-instruct-v1:0"
    )
    world.run("unknown")
    prices = [{row["input_usd_per_million"] for row in world.rows("ledger", key)} for key in ("known", "unknown")]
    assert prices == [{Decimal("0.11")}, {None}]


def test_on_demand_only_starts_no_job(world: World) -> None:
    """However many records there are, each is asked on its own, at the price of that."""
    world.put_many(8)
    world.with_settings(mode="on-demand")
    summary = world.run()
    assert (world.wire.created, world.wire.invoked) == (0, 24)
    assert {row["input_usd_per_million"] for row in world.rows("ledger")} == {Decimal("0.22")}
    assert summary.failures == 0


def test_a_run_keeps_to_on_demand_when_it_is_taken_up_again(world: World) -> None:
    """Whether there may be jobs is fixed when a run begins: another setting is refused as another run would be."""
    world.put_many(4)
    world.with_settings(mode="on-demand")
    world.run()
    world.with_settings(mode="auto")
    with pytest.raises(SettingsError, match="run night: was begun with mode = on-demand, not auto"):
        world.run()


REFUSED = [
    (PROVISIONED, "provisioned throughput takes calls on demand only"),
    (IMPORTED, "an imported model takes calls on demand only"),
    (
        PROVISIONED.split("[[model.time")[0].replace('"provisioned"', '"tokens"').replace("provisioned", "custom"),
        "AWS does not list it",
    ),
]


@pytest.mark.parametrize(("content", "reason"), REFUSED)
def test_a_model_that_batch_refuses_is_refused_before_anything_is_sent(world: World, content: str, reason: str) -> None:
    """With the reason, the models that batch takes, and the way on demand; nothing is written either."""
    world.put_many(4)
    path = with_models(world, content)
    world.with_settings(model=load_catalogue(path)[-1].id)
    with pytest.raises(
        SettingsError, match=rf"the batch API refuses it: {reason}.*DOCBATCH_MODE=on-demand.*{LLAMA_8B}"
    ):
        world.run()
    assert world.wire.calls == []
    assert world.bucket.list().collect() == []


@pytest.mark.parametrize(
    ("content", "minutes", "usd"),
    # A call takes a second or more of the world's clock; 12 calls on one thread last well below five minutes.
    [(PROVISIONED, 60, Decimal("48.00")), (IMPORTED, 5, Decimal("0.57180"))],
)
def test_a_model_that_is_billed_by_time(world: World, content: str, minutes: int, usd: Decimal) -> None:
    """Tokens are in the ledger without a cost of their own; the run says units, minutes and what they come to."""
    world.put_many(4)
    path = with_models(world, content, mode="on-demand", on_demand_threads=1)
    world.with_settings(model=load_catalogue(path)[-1].id)
    summary = world.run()
    assert (world.wire.created, world.wire.invoked, summary.failures) == (0, 12, 0)
    assert (summary.units, summary.billed_minutes, summary.time_cost_usd) == (2, minutes, usd)
    assert summary.cost_usd is None
    assert {row["cost_usd"] for row in world.rows("ledger")} == {None}
    assert all(row["input_tokens"] > 0 for row in world.rows("ledger"))
    (row,) = world.rows("runs")
    found = (row["billing"], row["units"], row["billed_minutes"], row["time_cost_usd"], row["cost_usd"])
    assert found == (load_catalogue(path)[-1].billing, 2, minutes, usd, None)


def test_time_goes_on_from_the_first_call_to_the_last(world: World) -> None:
    """Hours count across rounds, breaks and processes: the times stand beside the answers."""
    world.put_many(4)
    path = with_models(world, PROVISIONED, mode="on-demand", on_demand_threads=1)
    world.with_settings(model=load_catalogue(path)[-1].id)

    def pause(name: str, count: int) -> None:
        if name == "invoke_model" and count == 6:
            world.now += dt.timedelta(hours=2)

    world.wire.after = pause
    assert world.run().billed_minutes == 180


def test_a_model_by_time_without_a_price_costs_an_unknown_sum(world: World) -> None:
    """The minutes are known, the dollars are not, and nothing is zero."""
    world.put_many(4)
    path = with_models(world, PROVISIONED.replace("2026-11-01", "2027-01-01"), mode="on-demand")
    world.with_settings(model=load_catalogue(path)[-1].id)
    summary = world.run()
    assert (summary.units, summary.billed_minutes, summary.time_cost_usd, summary.cost_usd) == (None, 60, None, None)


def test_tokens_are_not_billed_by_time(world: World) -> None:
    """A run of a model that is billed by tokens has no minutes, and its answers hold no times."""
    world.put_many(4)
    world.with_settings(mode="on-demand")
    summary = world.run()
    assert (summary.billing, summary.units, summary.billed_minutes, summary.time_cost_usd) == (
        "tokens",
        None,
        None,
        None,
    )
    outputs = [bytes(world.bucket.get(path).bytes()) for path in world.outputs()]
    assert len(outputs) == 12
    assert not any(b"called" in output for output in outputs)


@pytest.mark.parametrize(("model", "told"), [(LLAMA_8B, False), ("us.meta.llama3-2-1b-instruct-v1:0", True)])
def test_the_end_of_a_model_is_a_warning(
    world: World, capsys: pytest.CaptureFixture[str], model: str, *, told: bool
) -> None:
    """Whoever starts a run is told that Bedrock will refuse the model; the run is not refused for a date in a file."""
    world.with_settings(model=model)
    tell_lifecycle(world.services, TODAY)
    said = capsys.readouterr().err
    assert said.startswith("Warning: meta.llama3-2-1b-instruct-v1:0 has reached its end of life on 2026-07-07") == told
    assert bool(said) == told


def test_the_report_of_a_run_says_hours_and_units(world: World) -> None:
    """In place of a cost by tokens, which is unknown."""
    world.put_many(4)
    path = with_models(world, PROVISIONED, mode="on-demand")
    world.with_settings(model=load_catalogue(path)[-1].id)
    shown = io.StringIO()
    print_summary(world.run(), shown)
    assert "Billed     1.00 hours x 2 units (provisioned): $48.00; not by tokens" in shown.getvalue()
