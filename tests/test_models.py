"""The model catalogue: what a name means, and which price holds on which day."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.domain import Mode
from pipeline.errors import DeclarationError, SettingsError
from pipeline.models import Model, find_model, load_catalogue
from pipeline.prices import Price

FOUNDATION = "arn:aws:bedrock:us-west-2::foundation-model/"
PROFILE = "arn:aws:bedrock:us-west-2:123456789012:inference-profile/"
PROVISIONED = "arn:aws:bedrock:us-west-2:123456789012:provisioned-model/abcdefghijkl"
IMPORTED = "arn:aws:bedrock:us-west-2:123456789012:imported-model/abcdefghijkl"
DEPLOYED = "arn:aws:bedrock:us-west-2:123456789012:custom-model-deployment/abcdefghijkl"
DAY = dt.date(2026, 11, 20)
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
        (FOUNDATION + "meta.llama3-1-8b-instruct-v1:0", FOUNDATION + "meta.llama3-1-8b-instruct-v1:0"),
        (PROFILE + "us.meta.llama3-1-8b-instruct-v1:0", PROFILE + "us.meta.llama3-1-8b-instruct-v1:0"),
    ],
)
def test_ids_aliases_and_profiles_mean_one_model(name: str, sent: str) -> None:
    """An alias is never sent; a profile and an ARN are sent as they are."""
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


SHIPPED = [
    # model, batch, on demand (bedrock.md, Prices), requests and tokens a minute (AWS General Reference)
    ("meta.llama3-1-8b-instruct-v1:0", "0.11", "0.22", 800, 300_000),
    ("meta.llama3-1-70b-instruct-v1:0", "0.36", "0.72", 400, 300_000),
    ("meta.llama3-1-405b-instruct-v1:0", None, "2.40", 200, 400_000),
    ("meta.llama3-2-1b-instruct-v1:0", None, "0.10", 800, 300_000),
    ("meta.llama3-2-3b-instruct-v1:0", None, "0.15", 800, 300_000),
    ("meta.llama3-2-11b-instruct-v1:0", None, "0.16", 400, 300_000),
    ("meta.llama3-2-90b-instruct-v1:0", None, "0.72", 400, 300_000),
    ("meta.llama3-3-70b-instruct-v1:0", "0.36", "0.72", 400, 300_000),
]


@pytest.mark.parametrize(("model_id", "batch", "on_demand", "requests", "tokens"), SHIPPED)
def test_shipped_prices(model_id: str, batch: str | None, on_demand: str, requests: int, tokens: int) -> None:
    """Where AWS lists no price there is none, not zero; a profile costs what the model costs in its source region."""
    for name in (model_id, f"us.{model_id}"):
        model, sent = find_model(name)
        for mode, usd in ((Mode.BATCH, batch), (Mode.ON_DEMAND, on_demand)):
            price = model.price_on(mode, DAY, "us-west-2", sent_id=sent)
            assert (price and (price.input_usd, price.output_usd)) == (
                Decimal(usd) and (Decimal(usd),) * 2 if usd else None
            )
    assert (model.requests_per_minute, model.tokens_per_minute) == (requests, tokens)
    assert model.batch_refusal() is None


def test_the_table_of_shipped_prices_is_complete() -> None:
    """Every model of the shipped catalogue stands in it."""
    assert [model.id for model in load_catalogue()] == [row[0] for row in SHIPPED]


def test_a_price_holds_in_its_regions() -> None:
    """Where a region has no price of its own, the price is unknown; without a region, any region's will do."""
    model, _ = find_model("meta.llama3-1-8b-instruct-v1:0")
    assert model.price_on(Mode.BATCH, DAY, "eu-central-1") is None
    assert model.price_on(Mode.BATCH, DAY) == model.price_on(Mode.BATCH, DAY, "us-east-1")


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
        id="m", family="llama3", window_tokens=1, max_output_tokens=1, regions=("r",), batch=True, price=tuple(prices)
    )
    found = model.price_on(Mode.BATCH, dt.date.fromisoformat(day))
    assert (str(found.input_usd) if found else None) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ENTRY.replace("batch = true", "batch = 5"), "model 1 (m): batch = 5: "),
        (ENTRY.replace('id = "m"', ""), "model 1: id: Field required"),
        (ENTRY + "speed = 1", "model 1 (m): speed = 1: Extra inputs"),
        (
            ENTRY + '[[model.price]]\nmode = "night"',
            "model 1 (m): price 1: mode = 'night': Input should be 'batch' or 'on-demand'",
        ),
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


PRICE = """
[[model.price]]
mode = "batch"
input_usd = "0.09"
output_usd = "0.10"
since = 2026-11-10
source = "our contract"
"""
BATCH_8B = ENTRY.replace('"m"', '"meta.llama3-1-8b-instruct-v1:0"') + PRICE


def own(tmp_path: Path, content: str) -> tuple[Model, ...]:
    path = tmp_path / "own.toml"
    path.write_text(content)
    return load_catalogue(path)


def test_an_own_entry_is_a_model_like_any_other(tmp_path: Path) -> None:
    """It stands beside the shipped ones, which stay as they are."""
    models = own(tmp_path, ENTRY + PRICE)
    model, sent = find_model("m", models)
    price = model.price_on(Mode.BATCH, DAY, "anywhere")
    assert (sent, price and price.source) == ("m", "our contract")
    assert models[:-1] == load_catalogue()


def test_an_own_entry_changes_what_it_names(tmp_path: Path) -> None:
    """The fields that it does not name stay those of the shipped model, its prices included."""
    shipped, _ = find_model("meta.llama3-1-8b-instruct-v1:0")
    changed, _ = find_model(
        shipped.id, own(tmp_path, f'[[model]]\nid = "{shipped.id}"\nrequests_per_minute = 5\nend_of_life = 2028-01-01')
    )
    assert changed == shipped.model_copy(update={"requests_per_minute": 5, "end_of_life": dt.date(2028, 1, 1)})


@pytest.mark.parametrize(
    ("regions", "since", "day", "region", "expected"),
    [
        ("", "2026-11-10", "2026-11-09", "us-west-2", "0.11"),
        ("", "2026-11-10", "2026-11-10", "us-west-2", "0.09"),
        ("", "2026-11-10", "2026-11-10", "eu-west-1", "0.09"),
        ("", "2026-10-01", "2026-11-20", "us-west-2", "0.09"),  # older than the shipped price, and yet one's own
        ("", "2026-10-01", "2026-09-30", "us-west-2", None),
        ('regions = ["us-west-2"]', "2026-10-01", "2026-11-20", "us-west-2", "0.09"),
        ('regions = ["us-west-2"]', "2026-10-01", "2026-11-20", "us-east-1", "0.11"),
        ('routing = "cross-region"', "2026-11-10", "2026-11-20", "us-west-2", "0.11"),
    ],
)
def test_an_own_price_holds_from_its_date_on(
    tmp_path: Path, regions: str, since: str, day: str, region: str, expected: str | None
) -> None:
    """In its regions and for its routing, whatever price ships; before its date and elsewhere, the shipped one does."""
    content = f'[[model]]\nid = "meta.llama3-1-8b-instruct-v1:0"\n{PRICE}{regions}'.replace("2026-11-10", since)
    model, sent = find_model("meta.llama3-1-8b-instruct-v1:0", own(tmp_path, content))
    price = model.price_on(Mode.BATCH, dt.date.fromisoformat(day), region, sent_id=sent)
    assert (str(price.input_usd) if price else None) == expected
    on_demand = model.price_on(Mode.ON_DEMAND, DAY, "us-west-2")
    assert on_demand is not None
    assert on_demand.input_usd == Decimal("0.22")


def test_a_price_for_a_routing_goes_before_one_for_all(tmp_path: Path) -> None:
    """A profile may cost something else than the model in its own region."""
    content = ENTRY.replace('id = "m"', 'id = "m"\nprofiles = ["us.m"]') + PRICE + PRICE.replace("0.09", "0.05")
    model, _ = find_model("m", own(tmp_path, content + 'routing = "cross-region"'))
    found = [model.price_on(Mode.BATCH, DAY, "r", sent_id=name) for name in ("m", "us.m")]
    assert [price and str(price.input_usd) for price in found] == ["0.09", "0.05"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ENTRY + ENTRY.replace('"llama3"', '"gpt"'), "model 2 (m): family = 'gpt': Input should be 'llama3'"),
        (ENTRY.replace("10", '"many"'), "model 1 (m): window_tokens = 'many': Input should be a valid integer"),
        (ENTRY.replace("10", "0"), "model 1 (m): window_tokens = 0: Input should be greater than or equal to 1"),
        (ENTRY + PRICE.replace('"0.09"', "0.09"), "price 1: input_usd = 0.09: write it in quotes"),
        (ENTRY + PRICE.replace("0.09", "-1"), "price 1: input_usd = '-1': Input should be greater than or equal to 0"),
        (ENTRY + PRICE.replace("0.09", "0.12345"), "price 1: input_usd = '0.12345': Decimal input should have no more"),
        (ENTRY + PRICE + PRICE, "model 1 (m): two batch prices for every region from 2026-11-10"),
        (ENTRY + PRICE + 'currency = "EUR"', "price 1: currency = 'EUR': Input should be 'USD'"),
        (ENTRY + 'billing = "imported"' + PRICE, "model 1 (m): price does not go with billing = 'imported'"),
        (
            ENTRY + 'aliases = ["us.meta.llama3-1-8b-instruct-v1:0"]',
            "is a name of meta.llama3-1-8b-instruct-v1:0 and of m",
        ),
        ("models = 1", "models: a catalogue consists of tables [[model]] alone"),
        ("model = 1", "model: a catalogue consists of tables [[model]] alone"),
    ],
)
def test_a_wrong_entry_of_ones_own_is_named(tmp_path: Path, content: str, message: str) -> None:
    """The message names the file, the entry, the field and the value."""
    with pytest.raises(DeclarationError) as raised:
        own(tmp_path, content)
    assert str(raised.value).startswith(f"{tmp_path}/own.toml: ")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("model_id", "lines", "reason"),
    [
        ("m", "", None),
        (PROVISIONED, "", "provisioned throughput takes calls on demand only"),
        (IMPORTED, "", "an imported model takes calls on demand only"),
        (DEPLOYED, "", "the deployment of a custom model takes calls on demand only"),
        ("m", 'billing = "provisioned"', "a model that is billed as provisioned takes calls on demand only"),
        ("n", "", "AWS does not list it among the models for batch inference"),
        ("n", 'batch_reason = "it answers by voice"', "it answers by voice"),
    ],
)
def test_what_the_batch_api_refuses(tmp_path: Path, model_id: str, lines: str, reason: str | None) -> None:
    """Whatever an entry says of batch, ARNs of some kinds are refused; a model may give a reason of its own."""
    content = ENTRY.replace('"m"', f'"{model_id}"') + lines
    model, sent = find_model(
        model_id, own(tmp_path, content.replace("batch = true", f"batch = {str(model_id != 'n').lower()}"))
    )
    assert model.batch_refusal(sent) == reason


def test_an_arn_that_nobody_described_is_refused_with_what_to_do() -> None:
    """What such a model accepts and costs only its owner knows."""
    with pytest.raises(
        SettingsError,
        match=r"provisioned-model/abcdefghijkl': not in the .*this provisioned model in .*DOCBATCH_MODELS",
    ):
        find_model(PROVISIONED)


@pytest.mark.parametrize(
    ("day", "said"),
    [("2026-12-29", None), ("2026-12-30", "will reach"), ("2027-03-29", "will reach"), ("2027-03-30", "has reached")],
)
def test_the_end_of_a_model_is_told_from_90_days_before(day: str, said: str | None) -> None:
    """With the date and where it comes from."""
    model, _ = find_model("meta.llama3-1-8b-instruct-v1:0")
    warning = model.lifecycle_warning(dt.date.fromisoformat(day))
    if said is None:
        assert warning is None
    else:
        assert f"{said} its end of life on 2027-03-30 (docs.aws.amazon.com/" in (warning or "")
