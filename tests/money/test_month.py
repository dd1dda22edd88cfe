"""A month of nights: what `docbatch costs` says of it, as a golden file, and the endpoint's own bill beside it."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pytest

from pipeline.domain import Mode
from pipeline.local.bill import Charge
from pipeline.money.spending import By, Line, Question, account, total
from pipeline.steps import RunSummary
from pipeline.storage.objects import absolute_uri
from pipeline.terminal.statement import AccountForm, print_account
from tests.world import Canned, Unseen, World

FIRST, NIGHTS = dt.date(2026, 11, 1), 30
NEW_PRICE = dt.date(2026, 11, 16)
PRICES = {Mode.BATCH: ("0.11", "0.0825"), Mode.ON_DEMAND: ("0.22", "0.165")}


class Month:
    """Nightly runs over a folder that grows and changes by a fixed plan, with what the endpoint billed in each."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.summaries: list[RunSummary] = []
        self.billed: dict[str, list[Charge]] = {}
        self._before: list[Charge] = []
        world.own_prompts("sentiment")

    def night(self, number: int) -> None:
        """A document comes, some change or go; on the 11th a prompt changes, and on the 16th the price."""
        day, world = FIRST + dt.timedelta(days=number), self.world
        world.put(f"{number:02d}.txt", f"The report of day {number}." + " It was a long day." * (number % 5))
        if number % 4 == 3:
            world.put(f"{number - 3:02d}.txt", f"Day {number - 3} again, as it was seen on day {number}.")
        if number % 9 == 8:
            (world.source / f"{number - 7:02d}.txt").unlink()
        if number == 10:
            path = world.folder / "prompts" / "sentiment" / "map.jinja"
            path.write_text(
                path.read_text("utf-8").replace("{% block user %}", "{% block user %}Read this:\n"), "utf-8"
            )
        key = f"night-{day:%m-%d}"
        change = {"round 0: prepare": lambda: self._lower_prices(key)} if day >= NEW_PRICE else {}
        self.summaries.append(world.run(key, Unseen(at=change), day))
        charges = world.bedrock.bill.charges()
        self.billed[key] = [one for one in charges if one not in self._before]
        self._before = charges

    def _lower_prices(self, run_key: str) -> None:
        """The manifest of a run that began when the catalogue held lower prices."""
        key = f"work/runs/{run_key}/run.json"
        manifest = orjson.loads(bytes(self.world.bucket.get(key).bytes()))
        for mode, name in ((Mode.BATCH, "batch_price"), (Mode.ON_DEMAND, "on_demand_price")):
            lower = PRICES[mode][1]
            manifest[name] |= {"input_usd": lower, "output_usd": lower, "since": NEW_PRICE.isoformat()}
        self.world.bucket.put(key, orjson.dumps(manifest))

    def account(self, *by: By) -> list[Line]:
        with self.world.services.catalog(absolute_uri(str(self.world.output))) as catalog:
            return account(catalog, Question(by))


def spoilt(prompt: str, before: int) -> str | None:
    """Some first answers cannot be used, and those about one document never can."""
    if "The report of day 6." in prompt and prompt.endswith('{"category": "'):
        return "no such label"
    return "rubbish" if "The report of day 2." in prompt and not before and "score" not in prompt[-200:] else None


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    made = Month(
        World(tmp_path_factory.mktemp("month") / "a world", Canned(spoilt), analyses=("classification", "sentiment"))
    )
    for number in range(NIGHTS):
        made.night(number)
    return made


def price_of(charges: list[Charge], day: dt.date) -> Decimal:
    """What the endpoint's own bill comes to at the prices of a day, counted apart from the ledger."""
    late = int(day >= NEW_PRICE)
    return sum(
        ((one.input_tokens + one.output_tokens) * Decimal(PRICES[one.mode][late]) / 1_000_000 for one in charges),
        Decimal(0),
    )


def test_the_month_is_what_it_was(month: Month, golden: Callable[[str, str], None]) -> None:
    """Every day and analysis, to the last digit."""
    stream = io.StringIO()
    by = (By.DAY, By.ANALYSIS)
    print_account(by, month.account(*by), AccountForm.CSV, stream)
    golden("month.csv", stream.getvalue())


def test_the_endpoint_billed_the_same_every_night(month: Month) -> None:
    """Dollars and tokens of each day's ledger are those of the endpoint's own bill of that night."""
    lines: dict[str | None, Any] = {line.values[0]: line.spent for line in month.account(By.RUN)}
    for summary in month.summaries:
        billed, spent = month.billed[summary.run_key], lines.get(summary.run_key)
        assert summary.cost_usd == price_of(billed, summary.run_date)
        if billed:
            assert spent.paid.usd == summary.cost_usd
            assert spent.input_tokens == sum(one.input_tokens for one in billed)
            assert spent.output_tokens == sum(one.output_tokens for one in billed)
            assert summary.unused is not None
            assert spent.unused.usd == summary.unused.usd


def test_the_month_has_what_a_month_is_about(month: Month) -> None:
    """Nights with changes, a prompt that is asked anew, two prices, answers that were paid for nothing."""
    every = total(month.account(By.MONTH))
    assert every.paid.usd == sum(summary.cost_usd or 0 for summary in month.summaries)
    assert every.unused.known_usd > 0
    since = {row["price_since"] for row in month.world.rows("ledger", None)}
    assert since == {FIRST, NEW_PRICE}
    requests = [summary.requests for summary in month.summaries]
    assert requests[10] > max(requests[:10])
    assert sum(sum(one.unchanged.values()) for one in month.summaries) > 0
