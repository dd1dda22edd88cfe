"""The manifest of a run, its key, and the keys of what it writes."""

from __future__ import annotations

import datetime as dt
import inspect
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline import manifest
from pipeline.domain import Mode, short_hash
from pipeline.errors import SettingsError
from pipeline.manifest import RunManifest, derive_run_key, refuse_illegal, shard_of, shards_for
from pipeline.prices import Price


@given(st.text(max_size=300))
def test_any_name_gives_a_legal_key(name: str) -> None:
    """Letters, digits and single dashes between them: legal everywhere; deriving again changes nothing."""
    key = derive_run_key(name)
    assert re.fullmatch(r"[a-zA-Z0-9]+(-[a-zA-Z0-9]+)*", key)
    assert len(key) <= 200
    assert derive_run_key(key) == key


@given(st.lists(st.text("ab-:+. é", max_size=60), min_size=2, max_size=2, unique=True))
def test_different_names_give_different_keys(names: list[str]) -> None:
    """Names that differ only in what is illegal still differ as keys."""
    assert derive_run_key(names[0]) != derive_run_key(names[1])


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("2026-11-01", "2026-11-01"),
        ("scheduled__2026-11-01T02:00:00+00:00", "scheduled-2026-11-01T02-00-00-00-00-"),
        ("", short_hash("")[:8]),
        ("ü", short_hash("ü")[:8]),
    ],
)
def test_known_keys(name: str, key: str) -> None:
    """A legal name stays as it is; another keeps what is legible, with a hash behind it."""
    assert derive_run_key(name).startswith(key)


@given(st.integers(0, 255), st.integers(0, 7))
def test_a_shard_is_halved_when_shards_are_doubled(first: int, power: int) -> None:
    """Documents fall into every shard by their id alone, in ranges that nest."""
    document_id, shards = f"{first:02x}" + "0" * 22, 1 << power
    assert 0 <= shard_of(document_id, shards) < shards
    assert shard_of(document_id, 2 * shards) // 2 == shard_of(document_id, shards)


@pytest.mark.parametrize(
    ("documents", "size", "shards"), [(0, 10, 1), (10, 10, 1), (11, 10, 2), (25, 10, 4), (10**9, 10, 256), (3, 1, 4)]
)
def test_as_many_shards_as_the_documents_need(documents: int, size: int, shards: int) -> None:
    """The smallest power of two that keeps shards within the size, up to 256."""
    assert shards_for(documents, size) == shards


@pytest.mark.parametrize(
    ("name", "instead"),
    [("../../x", "; take for example x-"), ("ä b", "; take for example b-"), ("a--b", ""), ("a" * 201, ""), ("", None)],
)
def test_a_name_that_is_no_key_is_refused(name: str, instead: str | None) -> None:
    """Whoever types a name finds the run under that name, or is told what is allowed."""
    with pytest.raises(SettingsError, match=r"allowed are letters .* digits and single `-`") as raised:
        refuse_illegal(name)
    assert repr(name) in str(raised.value)
    assert (instead or "; take") in str(raised.value) or instead is None
    for legal in ("night", "2026-11-23", "a" * 200, derive_run_key("manual__2026-11-23T00:00:00+00:00")):
        refuse_illegal(legal)


def test_every_key_is_legal_for_bedrock_and_its_own() -> None:
    """No two kinds of object share a key, and all consist of what Bedrock accepts in an S3 uri."""
    values: dict[str, object] = {
        "shard": 3,
        "part": 5,
        "round_number": 2,
        "batch_key": "b0",
        "table": "runs",
        "name": "turn",
        "run_key": "night",
        "times_cleared": 1,
    }
    values |= {"planned": dt.datetime(2026, 11, 24, tzinfo=dt.UTC), "day": dt.date(2026, 10, 1)}
    values |= {"digest": "0f" * 12, "answers": "answers/monday/r00-b0001.parquet"}
    makers = [
        one for name, one in inspect.getmembers(manifest, inspect.isfunction) if name.endswith(("_key", "_folder"))
    ]
    makers = [one for one in makers if one is not derive_run_key]
    keys = [maker(**{name: values[name] for name in inspect.signature(maker).parameters}) for maker in makers]
    assert len(set(keys)) == len(keys) > 10
    assert all(re.fullmatch(r"[-!_*'().a-z0-9A-Z]+(/[-!_*'().a-z0-9A-Z]+)*", key) for key in keys)


def test_a_manifest_comes_back() -> None:
    """Money and times survive JSON; an unknown field or a change after the fact is an error."""
    price = Price(
        mode=Mode.BATCH, input_usd=Decimal("0.11"), output_usd=Decimal("0.110"), since=dt.date(2026, 11, 1), source="s"
    )
    written = RunManifest(
        docbatch_version="1",
        run_key="k",
        run_date=dt.date(2026, 11, 1),
        started=dt.datetime(2026, 11, 1, 2, 0, 0, 123456, tzinfo=dt.UTC),
        sources=("s3://b/in", "list:s3://c/uris.csv"),
        output_uri="s3://b/out",
        model="m",
        priced_as="m",
        batch_price=price,
        on_demand_price=None,
        analyses={"a": "f"},
        methods={"a": "m"},
        usual_output_tokens={"a": 2.5},
        output_language="German",
        max_rounds=3,
        budget_usd=Decimal("1.10"),
        force=False,
        shards=1,
        documents=2,
        unchanged={"a": 1},
        deleted=0,
        listing=("listing/0000-00.parquet",),
    )
    assert RunManifest.model_validate_json(written.model_dump_json()) == written
    with pytest.raises(ValidationError):
        RunManifest.model_validate(written.model_dump() | {"colour": "red"})
    with pytest.raises(ValidationError):
        written.shards = 2  # type: ignore[misc] # frozen, which is what is tested
