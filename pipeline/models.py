"""The model catalogue, of models.toml and the user's own file: names, limits, end of life, prices."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from pipeline.domain import Mode
from pipeline.errors import DeclarationError, SettingsError
from pipeline.prices import FROZEN, Billing, Price, Routing, TimePrice, overlaid

CATALOGUE = Path(__file__).with_name("models.toml")
WARNING_DAYS = 90  # before a model's end of life
# Kinds of resources whose ARN the batch API refuses as a modelId (bedrock.md, Control plane).
ON_DEMAND_ARNS = {
    "provisioned-model": "provisioned throughput takes calls on demand only",
    "imported-model": "an imported model takes calls on demand only",
    "custom-model-deployment": "the deployment of a custom model takes calls on demand only",
}
_ARN = re.compile(r"arn:aws[^:]*:bedrock:[^:]*:[^:]*:([a-z-]+)/(.+)")


class Model(BaseModel):
    """One entry of the catalogue. `window_tokens` holds prompt and answer together; what is unknown is None.

    `requests_per_minute` and `tokens_per_minute` are AWS's quotas on calls on demand. `price_list_name` is what the
    AWS Price List calls the model.
    """

    model_config = FROZEN

    id: str
    aliases: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    price_list_name: str | None = None
    family: Literal["llama3"]
    window_tokens: int = Field(ge=1)
    max_output_tokens: int = Field(ge=1)
    regions: tuple[str, ...] = ()
    profile_regions: tuple[str, ...] = ()
    batch: bool
    batch_reason: str | None = None
    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)
    end_of_life: dt.date | None = None
    end_of_life_source: str | None = None
    billing: Billing = Billing.TOKENS
    price: tuple[Price, ...] = ()
    time_price: tuple[TimePrice, ...] = ()

    @model_validator(mode="after")
    def _has_the_prices_of_its_billing(self) -> Model:
        wrong = "price" if self.billing is not Billing.TOKENS and self.price else ""
        wrong = "time_price" if self.billing is Billing.TOKENS and self.time_price else wrong
        if wrong:
            raise ValueError(f"{wrong} does not go with billing = {self.billing.value!r}")
        return self

    @model_validator(mode="after")
    def _has_one_price_at_a_time(self) -> Model:
        seen = set()
        for one in self.price:
            for place in [(one.mode, region, one.routing, one.since) for region in one.regions or ("every region",)]:
                if place in seen:
                    raise ValueError(f"two {one.mode} prices for {place[1]} from {one.since}")
                seen.add(place)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        return (self.id, *self.aliases, *self.profiles)

    def price_on(self, mode: Mode, day: dt.date, region: str | None = None, *, sent_id: str = "") -> Price | None:
        """The price of `mode` that holds on `day` for calls from `region`; None when none is known.

        The newest; of equally new ones that for the region, then that for the routing of `sent_id`. Without a region,
        that of any region.
        """
        routing = Routing.CROSS_REGION if _named_by(sent_id) in self.profiles else Routing.IN_REGION
        found = [one for one in self.price if one.since <= day and one.applies(mode, region, routing)]
        return max(found, key=lambda one: (one.since, bool(one.regions), one.routing is not None), default=None)

    def time_price_on(self, day: dt.date) -> TimePrice | None:
        """The newest price of the model's units that holds on `day`; None when none is known, or tokens are billed."""
        return max((one for one in self.time_price if one.since <= day), key=lambda one: one.since, default=None)

    def batch_refusal(self, sent_id: str = "") -> str | None:
        """Why the batch API would refuse the model; None when it takes it."""
        for name in (sent_id, self.id):
            if (found := _ARN.fullmatch(name)) and found[1] in ON_DEMAND_ARNS:
                return ON_DEMAND_ARNS[found[1]]
        if self.billing is not Billing.TOKENS:
            return f"a model that is billed as {self.billing} takes calls on demand only"
        return None if self.batch else self.batch_reason or "AWS does not list it among the models for batch inference"

    def lifecycle_warning(self, day: dt.date) -> str | None:
        """What to know of the model's end on `day`, from 90 days before; None while there is nothing to say.

        A warning and no error, also after the end: the date is a fact that others wrote down, AWS may have moved it,
        and an account may have arrangements of its own. Bedrock itself refuses an ended model before anything is paid.
        """
        if self.end_of_life is None or day < self.end_of_life - dt.timedelta(days=WARNING_DAYS):
            return None
        tense = "has reached" if day >= self.end_of_life else "will reach"
        advice = "Bedrock refuses it from then on; choose another model (docbatch prices lists them)"
        return f"{self.id} {tense} its end of life on {self.end_of_life} ({self.end_of_life_source}). {advice}"


def load_catalogue(own: Path | None = None) -> tuple[Model, ...]:
    """Every model that ships with docbatch, with the entries of one's own file over them.

    An own entry with a known id changes the fields that it names and lays its prices over the known ones; any other is
    a new model. Several entries may share an id; the later ones stand above. Raises DeclarationError naming the file,
    the entry, the field and its value.
    """
    return catalogue_with(_read(own), own) if own else catalogue_with("", CATALOGUE)


def catalogue_with(own: str, path: Path) -> tuple[Model, ...]:
    """`load_catalogue` with the text of one's own file, which lies at `path`."""
    return _merged(_read(CATALOGUE), CATALOGUE, own, path)


@cache
def _merged(shipped: str, shipped_path: Path, own: str, own_path: Path) -> tuple[Model, ...]:
    models: dict[str, Model] = {}
    for text, path in ((shipped, shipped_path), (own, own_path)):
        for number, entry in enumerate(_entries(text, path), start=1):
            model = _over(models, entry, f"{path}: model {number}")
            models[model.id] = model
        _refuse_shared_names(models.values(), path)
    return tuple(models.values())


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise DeclarationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DeclarationError(f"{path}: not valid TOML: {error}") from None


def _entries(text: str, path: Path) -> list[dict[str, Any]]:
    """The tables `[[model]]` of a file, and nothing else."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DeclarationError(f"{path}: not valid TOML: {error}") from None
    entries = found.pop("model", [])
    if found or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        wrong = ", ".join(found) or "model"
        raise DeclarationError(f"{path}: {wrong}: a catalogue consists of tables [[model]] alone")
    return entries


def _over(models: dict[str, Model], entry: dict[str, Any], where: str) -> Model:
    """An entry as a model, over the one of the same id where there is one."""
    known = models.get(entry["id"]) if isinstance(entry.get("id"), str) else None
    name = f" ({entry['id']})" if "id" in entry else ""
    try:
        model = Model(**((known.model_dump() if known else {}) | entry))
    except ValidationError as error:
        problems = "; ".join(_told(problem) for problem in error.errors())
        raise DeclarationError(f"{where}{name}: {problems}") from None
    if known and "price" in entry:
        model = model.model_copy(update={"price": overlaid(known.price, model.price)})
    return model


def _told(problem: Any) -> str:
    """`price 2: mode = 'night': Input should be …`: places count from 1, what was written is shown."""
    place = ": ".join(str(part) for part in problem["loc"])
    place = re.sub(r": (\d+)", lambda found: f" {int(found[1]) + 1}", place)
    shown = "" if problem["type"] == "missing" or not place else f" = {problem['input']!r}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{place}{shown}: {message}" if place else message


def _refuse_shared_names(models: Iterable[Model], path: Path) -> None:
    owners: dict[str, str] = {}
    for model in models:
        for name in model.names:
            if owners.setdefault(name, model.id) != model.id:
                raise DeclarationError(f"{path}: {name!r} is a name of {owners[name]} and of {model.id}")


def find_model(name: str, catalogue: tuple[Model, ...] | None = None) -> tuple[Model, str]:
    """The model that `name` means, and the id to send: aliases become the id, profiles and ARNs stay as they are.

    Raises SettingsError listing what is known.
    """
    models = load_catalogue() if catalogue is None else catalogue
    for model in models:
        if name in (model.id, *model.aliases):
            return model, model.id
        if name in model.profiles or _named_by(name) in (model.id, *model.profiles):
            return model, name
    if found := _ARN.fullmatch(name):
        raise SettingsError(
            f"model = {name!r}: not in the catalogue. Describe this {found[1].replace('-', ' ')} in a file of your own "
            "and name it in DOCBATCH_MODELS (docs/costs.md, Models and prices)"
        )
    known = ", ".join(known for model in models for known in (model.id, *model.profiles))
    raise SettingsError(f"model = {name!r}: not in the catalogue; known are {known}")


def _named_by(name: str) -> str:
    """The id or profile that the ARN of a foundation model or of a system-defined profile ends with."""
    found = _ARN.fullmatch(name)
    return found[2] if found and found[1] in ("foundation-model", "inference-profile") else name
