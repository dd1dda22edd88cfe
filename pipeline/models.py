"""The model catalogue: ids, aliases, profiles, limits and dated prices, read from models.toml."""

from __future__ import annotations

import datetime as dt
import tomllib
from decimal import Decimal
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.domain import Mode
from pipeline.errors import DeclarationError, SettingsError

CATALOGUE = Path(__file__).with_name("models.toml")
_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Price(BaseModel):
    """USD per million tokens of one mode, from a date on."""

    model_config = _FROZEN

    mode: Mode
    input_usd: Decimal
    output_usd: Decimal
    since: dt.date
    source: str


class Model(BaseModel):
    """One entry of the catalogue. `window_tokens` holds prompt and answer together."""

    model_config = _FROZEN

    id: str
    aliases: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    family: str
    window_tokens: int
    max_output_tokens: int
    regions: tuple[str, ...]
    profile_regions: tuple[str, ...] = ()
    batch: bool
    price: tuple[Price, ...] = ()

    def price_on(self, mode: Mode, day: dt.date) -> Price | None:
        """The newest price of `mode` that holds on `day`; None when none is known."""
        valid = [price for price in self.price if price.mode is mode and price.since <= day]
        return max(valid, key=lambda price: price.since, default=None)


class _Catalogue(BaseModel):
    model_config = _FROZEN
    model: tuple[Model, ...]


@cache
def load_catalogue(path: Path = CATALOGUE) -> tuple[Model, ...]:
    """Every model of the file. Raises DeclarationError naming the file, the entry and the field."""
    try:
        return _Catalogue(**tomllib.loads(path.read_text("utf-8"))).model
    except OSError as error:
        raise DeclarationError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DeclarationError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
        raise DeclarationError(f"{path}: {places}") from None


def find_model(name: str, catalogue: tuple[Model, ...] | None = None) -> tuple[Model, str]:
    """The model that `name` means, and the id to send: aliases become the id, profiles stay as they are.

    Raises SettingsError listing what is known.
    """
    models = load_catalogue() if catalogue is None else catalogue
    for model in models:
        if name in model.profiles:
            return model, name
        if name == model.id or name in model.aliases:
            return model, model.id
    known = ", ".join(known for model in models for known in (model.id, *model.profiles))
    raise SettingsError(f"model = {name!r}: not in the catalogue; known are {known}")
