"""The model catalogue: what a name means, and which price holds on which day."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.domain import Mode
from pipeline.errors import DeclarationError, SettingsError
from pipeline.models import Model, Price, find_model, load_catalogue

ENTRY = """
[[model]]
id = "m"
family = "llama3"
window_tokens = 10
max_output_tokens = 5
regions = ["r"]
batch = true
"""


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("meta.llama3-1-8b-instruct-v1:0", "meta.llama3-1-8b-instruct-v1:0"),
        ("meta.llama3-1-8b-instruct-v10", "meta.llama3-1-8b-instruct-v1:0"),
        ("us.meta.llama3-1-8b-instruct-v1:0", "us.meta.llama3-1-8b-instruct-v1:0"),
    ],
)
def test_ids_aliases_and_profiles_mean_one_model(name: str, sent: str) -> None:
    """An alias is never sent; a profile is sent as it is."""
    model, model_id = find_model(name)
    assert (model.id, model_id) == ("meta.llama3-1-8b-instruct-v1:0", sent)


def test_an_unknown_model_is_refused_with_the_known() -> None:
    """The message lists every id that could have been meant."""
    with pytest.raises(SettingsError, match=r"model = 'llama': not in the catalogue; known are .*llama3-1-8b.*70b"):
        find_model("llama")


def test_no_name_means_two_models() -> None:
    """Ids, aliases and profiles of the shipped catalogue are all different."""
    names = [name for model in load_catalogue() for name in (model.id, *model.aliases, *model.profiles)]
    assert len(names) > 3
    assert len(set(names)) == len(names)


def test_shipped_prices() -> None:
    """Batch costs half of on-demand; where AWS lists no price there is none, not zero."""
    day = dt.date(2026, 11, 20)
    known = {
        model.id: [
            price and price.input_usd
            for price in (model.price_on(Mode.BATCH, day), model.price_on(Mode.ON_DEMAND, day))
        ]
        for model in load_catalogue()
    }
    assert known["meta.llama3-1-8b-instruct-v1:0"] == [Decimal("0.11"), Decimal("0.22")]
    assert known["meta.llama3-1-405b-instruct-v1:0"] == [None, Decimal("2.40")]


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2026-01-01", None), ("2026-02-01", "3"), ("2026-02-28", "3"), ("2026-03-01", "2"), ("2030-01-01", "2")],
)
def test_the_newest_price_that_already_holds(day: str, expected: str | None) -> None:
    """A price holds from its date on, whatever the order in the file, and for its mode alone."""
    prices = [
        Price(
            mode=mode, input_usd=Decimal(usd), output_usd=Decimal(usd), since=dt.date.fromisoformat(since), source="s"
        )
        for mode, usd, since in [
            (Mode.BATCH, "2", "2026-03-01"),
            (Mode.BATCH, "3", "2026-02-01"),
            (Mode.ON_DEMAND, "9", "2025-01-01"),
        ]
    ]
    model = Model(
        id="m", family="f", window_tokens=1, max_output_tokens=1, regions=("r",), batch=True, price=tuple(prices)
    )
    found = model.price_on(Mode.BATCH, dt.date.fromisoformat(day))
    assert (str(found.input_usd) if found else None) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ENTRY.replace("batch = true", "batch = 5"), "model.0.batch: "),
        (ENTRY.replace('id = "m"', ""), "model.0.id: Field required"),
        (ENTRY + "speed = 1", "model.0.speed: Extra inputs"),
        (ENTRY + '[[model.price]]\nmode = "night"', "model.0.price.0.mode: Input should be 'batch' or 'on-demand'"),
        ("[[model", "not valid TOML"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_broken_catalogue_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    """The message names the file, the entry and the field."""
    path = tmp_path / "models.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DeclarationError) as raised:
        load_catalogue(path)
    assert str(path) in str(raised.value)
    assert message in str(raised.value)
