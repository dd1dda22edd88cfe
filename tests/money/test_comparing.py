"""The same tokens on other models: what they cost there, or why nobody can say."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.domain import Mode, Usage
from pipeline.models import Model, catalogue_with, find_model, load_catalogue
from pipeline.money.comparing import OnModel, on_every_model

DAY = dt.date(2026, 11, 20)
USED = Usage(1_000_000, 1_000_000)
MINE = "meta.llama3-1-8b-instruct-v1:0"
OWN = """
[[model]]
id = "m"
family = "llama3"
window_tokens = 10
max_output_tokens = 5
"""


def on(catalogue: tuple[Model, ...], name: str) -> OnModel:
    counted_for, sent_id = find_model(MINE, catalogue)
    found = on_every_model(catalogue, counted_for, sent_id, USED, DAY, "us-west-2")
    assert [one.model for one in found] == [one.id for one in catalogue]
    return next(one for one in found if one.model == name)


def test_every_model_of_the_catalogue_is_there_and_a_known_price_needs_no_words() -> None:
    """The model that the tokens were counted for among them."""
    assert on(load_catalogue(), MINE).usd == {Mode.BATCH: Decimal("0.22"), Mode.ON_DEMAND: Decimal("0.44")}
    assert on(load_catalogue(), MINE).why == ()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("batch = true", "no batch or on-demand price known in us-west-2"),
        ("batch = false\nbatch_reason = 'too new'", "no batch jobs: too new"),
        ("batch = false\nbatch_reason = 'too new'", "no on-demand price known in us-west-2"),
        ("batch = false\nbilling = 'provisioned'", "billed by the hour, price unknown"),
        (
            "batch = false\nbilling = 'imported'\n[[model.time_price]]\nunits = 2\nusd = '0.25'\n"
            "since = 2026-11-01\nsource = 'x'",
            "billed by the minute: $0.50 for 2 units",
        ),
    ],
)
def test_what_is_unknown_has_a_reason(more: str, why: str) -> None:
    """A price that nobody wrote down, a model that takes no jobs, one that is not paid by tokens."""
    found = on(catalogue_with(OWN + more, Path("own.toml")), "m")
    assert set(found.usd.values()) == {None}
    assert why in found.why


def test_tokens_of_another_family_are_not_compared() -> None:
    """Its vocabulary would count others: the cost is unknown, and the model is listed all the same."""
    models = catalogue_with(
        OWN + "batch = true\n[[model.price]]\nmode = 'batch'\ninput_usd = '1'\noutput_usd = '1'\n"
        "since = 2026-11-01\nsource = 'x'",
        Path("own.toml"),
    )
    other = find_model("m", models)[0].model_copy(update={"family": "another"})
    found = on((*models[:-1], other), "m")
    assert set(found.usd.values()) == {None}
    assert found.why == ("counts tokens in its own way (another)",)
