"""The AWS Price List: which rows count, what they come to, and what `docbatch prices` makes of them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.bedrock.client import BedrockAccess
from pipeline.cli.commands import app
from pipeline.domain import Mode
from pipeline.errors import ServiceBusy, ServiceRejected, SettingsError
from pipeline.models import find_model, load_catalogue
from pipeline.money.price_list import connect_price_list, read_prices
from tests.price_list_server import PriceList, row, serving

TODAY = dt.date(2026, 11, 20)
NAME = "Llama 3.1 8B"
LLAMA_8B = "meta.llama3-1-8b-instruct-v1:0"
STEM = "USW2-Llama3-1-8B"
ON_DEMAND = [
    row(NAME, f"{STEM}-input-tokens", "Input tokens", "0.0002300000"),
    row(NAME, f"{STEM}-output-tokens", "Output tokens", "0.0002400000"),
]
BATCH = [
    row(NAME, f"{STEM}-input-tokens-batch", "Input tokens", "0.0001200000", feature="Batch Inference"),
    row(NAME, f"{STEM}-output-tokens-batch", "output tokens batch", "0.0001300000", feature=None),
]
# Rows about something else; each holds the words of one that counts, at a price that would be noticed.
OTHERS = [
    row(NAME, f"{STEM}-input-tokens-flex", "Input tokens flex", "9"),
    row(NAME, f"{STEM}-input-tokens-priority", "Input tokens priority", "9"),
    row(NAME, f"{STEM}-cache-read-input-tokens", "Prompt cache read input tokens", "9"),
    row(NAME, f"{STEM}-input-tokens-custom-model", "Input tokens", "9"),
    row(NAME, f"{STEM}-input-tokens-cross-region-global", "Input tokens", "9"),
    row(NAME, "USW2-meta.llama3-1-8b-mantle-input-tokens-batch", "input tokens batch", "9", feature=None),
    row(NAME, f"{STEM}-Customization-Training", "Input tokens", "9", feature="Model Customization"),
    row(NAME, f"{STEM}-input-tokens", "Input tokens", "9", feature="Custom Model Import"),
    row(f"{NAME} Latency Optimized", f"{STEM}-LatencyOptimized-input-tokens", "Input tokens", "9"),
    row(NAME, f"{STEM}-input-tokens", "Input tokens", "9", effective="2026-12-01T00:00:00Z"),
]


def usd(rows: list[str]) -> dict[tuple[Mode, str], tuple[str, str]]:
    prices, told = read_prices(rows, NAME, TODAY)
    assert told == []
    return {(one.mode, one.regions[0]): (str(one.input_usd), str(one.output_usd)) for one in prices}


def test_batch_and_on_demand_are_told_apart() -> None:
    """Whichever of the three attributes says that a row is about batch; prices are exact, per million tokens."""
    expected = {(Mode.ON_DEMAND, "us-west-2"): ("0.23", "0.24"), (Mode.BATCH, "us-west-2"): ("0.12", "0.13")}
    assert usd([*ON_DEMAND, *BATCH]) == usd([*BATCH, *OTHERS, *reversed(ON_DEMAND)]) == expected
    assert usd(OTHERS) == {}


def test_a_unit_is_read_and_never_guessed() -> None:
    """Prices for a million tokens are taken as they are; another unit leaves the row out, and says so."""
    million = [
        row(NAME, f"{STEM}-{side}-tokens", f"{side} tokens", "0.23", unit="1M tokens") for side in ("input", "output")
    ]
    assert usd(million) == {(Mode.ON_DEMAND, "us-west-2"): ("0.23", "0.23")}
    prices, told = read_prices(
        [ON_DEMAND[0], row(NAME, f"{STEM}-output-tokens", "Output tokens", "1", unit="hour")], NAME, TODAY
    )
    assert prices == []
    assert "unit 'hour' is not known" in told[0]
    assert told[1] == f"{NAME}, on-demand in us-west-2: output tokens have 0 prices (no row)"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*ON_DEMAND, row(NAME, "USW2-Other-input-tokens", "Input tokens", "0.5")], "input tokens have 2 prices"),
        (
            [row(NAME, f"{STEM}-input-tokens", "input tokens batch", "1")],
            "inferenceType and feature say something else",
        ),
        ([row(NAME, f"{STEM}-output-tokens", "Input tokens", "1")], "inferenceType and feature say something else"),
        ([row(NAME, f"{STEM}-input-tokens", "Input tokens", "1", feature="Batch Inference")], "say something else"),
        (["{"], "a row that cannot be read: "),
        (['{"product": {"attributes": 5}}'], "a row that cannot be read: "),
        ([row(NAME, f"{STEM}-input-tokens", "Input tokens", "much")], "a row that cannot be read: "),
        ([ON_DEMAND[0], row(NAME, f"{STEM}-output-tokens", "Output tokens", "0.0000001")], None),
        (
            [ON_DEMAND[0], row(NAME, f"{STEM}-output-tokens", "Output tokens", "0.00000001234")],
            "no more than 4 decimal",
        ),
    ],
)
def test_what_is_not_clear_is_left_out_and_told(rows: list[str], message: str | None) -> None:
    """Two prices for one thing, attributes that contradict each other, rows that are damaged."""
    prices, told = read_prices(rows, NAME, TODAY)
    assert (prices == []) == (message is not None)
    assert any(message in one for one in told) if message else told == []


@pytest.fixture
def price_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[PriceList]:
    """A price list on loopback that the command line will ask, in a folder of its own."""
    with serving([*OTHERS, *ON_DEMAND, *BATCH]) as served:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", served.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("DOCBATCH_MODELS", str(tmp_path / "own.toml"))
        monkeypatch.setenv("DOCBATCH_RETRY_SECONDS", "0")
        yield served


def typed(*words: str) -> str:
    """What a command prints; its errors come out as they are."""
    result = CliRunner().invoke(app, ["prices", *words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output if "--json" not in words else result.stdout


def test_every_page_is_read(price_list: PriceList) -> None:
    """And every model is asked for by the name that the list has for it."""
    client = connect_price_list(BedrockAccess("eu-west-1", price_list.url, None, "key", "secret"), 0)
    assert list(client.products(NAME, None)) == price_list.rows
    assert len(price_list.asked) == 7
    assert list(client.products(NAME, "eu-west-1")) == []


@pytest.mark.parametrize(
    ("refusal", "kind", "message"),
    [
        (
            (400, "AccessDeniedException"),
            ServiceRejected,
            r"AWS Price List GetProducts: AccessDenied.*lacks a permission",
        ),
        ((400, "ThrottlingException"), ServiceBusy, r"AWS Price List GetProducts: Throttling"),
        ((500, "InternalErrorException"), ServiceBusy, r"AWS Price List GetProducts: InternalError"),
    ],
)
def test_a_refusal_of_the_price_list(
    price_list: PriceList, refusal: tuple[int, str], kind: type[Exception], message: str
) -> None:
    """It is told as Bedrock's are, under its own name."""
    price_list.refusals += [refusal] * 5
    with pytest.raises(kind, match=message):
        typed("refresh", "--dry-run")


def test_refresh_writes_what_differs(price_list: PriceList, tmp_path: Path) -> None:
    """The difference is shown and written, runs take it from then on, and a second time there is nothing to write."""
    shown = typed("refresh", "--region", "us-west-2")
    assert "0.22 / 0.22" in shown
    assert "0.23 / 0.24" in shown
    file = tmp_path / "own.toml"
    model, _ = find_model(LLAMA_8B, load_catalogue(file))
    price = model.price_on(Mode.ON_DEMAND, TODAY, "us-west-2")
    assert price is not None
    assert (price.input_usd, price.output_usd, price.since) == (Decimal("0.23"), Decimal("0.24"), dt.date(2026, 11, 1))
    before = file.read_bytes()
    assert "says what is known already" in typed("refresh")
    assert file.read_bytes() == before
    assert all(one["ServiceCode"] == "AmazonBedrock" for one in price_list.asked)


def test_a_dry_run_writes_nothing(price_list: PriceList, tmp_path: Path) -> None:
    """It shows the difference, also to programs, and needs no file to write to."""
    (found,) = (one for one in json.loads(typed("refresh", "--dry-run", "--json")) if one["mode"] == "batch")
    assert (found["model"], found["region"]) == (LLAMA_8B, "us-west-2")
    assert (found["known"]["input_usd"], found["listed"]["input_usd"]) == ("0.11", "0.12")
    assert list(tmp_path.iterdir()) == []
    assert price_list.asked


def test_what_the_owner_wrote_stays_and_stands_above(price_list: PriceList, tmp_path: Path) -> None:
    """Comments, entries and prices of one's own survive; earlier prices of AWS stay for runs of earlier dates."""
    file = tmp_path / "own.toml"
    own = f"""# our contract
[[model]]
id = "{LLAMA_8B}"

[[model.price]]
mode = "batch"
input_usd = "0.07"
output_usd = "0.07"
since = 2026-10-01
source = "contract"
"""
    file.write_text(own)
    assert f"Your own price stays: {LLAMA_8B}, batch in us-west-2, contract" in typed("refresh")
    price_list.rows[-4:-2] = [
        row(NAME, f"{STEM}-{side}-tokens", f"{side} tokens", "0.0003", effective="2026-11-15T00:00:00Z")
        for side in ("input", "output")
    ]
    typed("refresh")
    assert file.read_text().endswith("\n" + own)
    model, _ = find_model(LLAMA_8B, load_catalogue(file))
    days = (dt.date(2026, 11, 14), dt.date(2026, 11, 15))
    found = [model.price_on(mode, day, "us-west-2") for mode in (Mode.BATCH, Mode.ON_DEMAND) for day in days]
    assert [price and str(price.input_usd) for price in found] == ["0.07", "0.07", "0.23", "0.3"]


def test_refresh_asks_where_to_write_before_it_asks_aws(price_list: PriceList, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file for one's own prices there is nothing that could take them."""
    monkeypatch.delenv("DOCBATCH_MODELS")
    with pytest.raises(SettingsError, match=r"models: is not set.*DOCBATCH_MODELS=.*--dry-run"):
        typed("refresh")
    assert price_list.asked == []


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder without any settings."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("alone")
def test_the_list_fits_100_columns() -> None:
    """Every model, mode and region; what is not known is called unknown, and ends that are over are told."""
    lines = typed().splitlines()
    assert max(map(len, lines)) <= 100
    assert [line for line in lines if line.startswith("meta.")] == [model.id for model in load_catalogue()]
    assert ["batch", "us-east-2", "unknown", "unknown"] in [line.split() for line in lines]
    assert sum("end of life 2026-07-07 (past)" in line for line in lines) == 5


@pytest.mark.usefixtures("alone")
def test_the_list_for_programs() -> None:
    """A row for each mode and region, with sums as text and null for what is unknown."""
    rows = json.loads(typed("us.meta.llama3-1-405b-instruct-v1:0", "--json", "--region", "us-west-2"))
    assert [(one["mode"], one["region"], one["input_usd"]) for one in rows] == [
        ("batch", "us-west-2", None),
        ("on-demand", "us-west-2", "2.40"),
    ]
    assert rows[1]["source"] == "aws.amazon.com/bedrock/pricing"


def test_models_that_are_billed_by_time_are_listed_with_their_units(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Units, dollars a unit, and why there are no batch jobs."""
    file = alone / "own.toml"
    file.write_text(
        '[[model]]\nid = "ours"\nfamily = "llama3"\nwindow_tokens = 9\nmax_output_tokens = 9\nbatch = false\n'
        'billing = "provisioned"\n[[model.time_price]]\nunits = 3\nusd = "24.00"\n'
        'since = 2026-11-01\nsource = "order"\n'
    )
    monkeypatch.setenv("DOCBATCH_MODELS", str(file))
    shown = typed("ours")
    assert "no batch jobs: a model that is billed as provisioned takes calls on demand only" in shown
    assert ["provisioned", "3", "24.00", "2026-11-01", "order"] in [line.split() for line in shown.splitlines()]
