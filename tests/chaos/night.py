"""A night in trouble: a world in which a drawn plan goes wrong, its runs as often as they break off, and its bill."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from botocore.exceptions import ConnectionClosedError

from pipeline.errors import AccountingError, DocbatchError, JobFailed
from pipeline.local.bill import Charge
from pipeline.local.fault_plan import FaultPlan
from pipeline.loop import Looped, run_to_the_end
from pipeline.models import find_model
from pipeline.records import OutcomeRecord, from_parquet
from pipeline.steps import RunSummary
from tests.chaos.random_plans import Blows, Trouble
from tests.chaos.scene import put_documents
from tests.chaos.seam import Killed, Seam, behind
from tests.world import TODAY, Unseen, World

FIRST_SEED = 20261123
MOST_TRIES = 500  # in which a run comes to an end; most are looks at a stuck job that were throttled
PACE = Looped(1.0, sleep=lambda _seconds: None)


class Cutting:
    """The in-process Bedrock, with the calls counted whose connection it cut: they may have been billed."""

    def __init__(self, bedrock: Any) -> None:
        self._bedrock = bedrock
        self.cut = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bedrock, name)

    def invoke_model(self, **request: Any) -> Any:
        try:
            return self._bedrock.invoke_model(**request)
        except ConnectionClosedError:
            self.cut += 1
            raise


class Night:
    """A world in trouble, and the runs in it."""

    def __init__(self, folder: Path, trouble: Trouble) -> None:
        self.trouble, self.world = trouble, World(folder, least=8, lease_seconds=0.1, **trouble.settings)
        self.world.own_prompts("summarization", chunk_tokens=256)
        put_documents(self.world.source, trouble.documents, trouble.copies)
        # Each look at the clock takes five minutes, so that a job that is stuck expires.
        self.world.bedrock = replace(self.world.bedrock, clock=count(1_800_000_000.0, 300.0).__next__)
        self.cutting = self.world.wire.bedrock = Cutting(self.world.bedrock)  # type: ignore[assignment] # stands in for it
        self.world.bedrock.faults.replace(trouble.plan)
        self.blows = Blows(trouble.blows)
        self.tries = 0
        self.broken_by: BaseException | None = None

    def run_to_the_end(self, *keys: str) -> dict[str, RunSummary | None]:
        """What each run came to after as many tries as it took; None when one of its jobs failed as a whole.

        Of several runs, whenever one breaks off, the next goes on: each meets what the others left behind.
        """
        ended: dict[str, RunSummary | None] = {}
        waiting = deque(keys)
        while waiting:
            assert self.tries < MOST_TRIES, f"no end after {MOST_TRIES} tries: {self.broken_by}"
            self.tries += 1
            key = waiting.popleft()
            try:
                ended[key] = self.run(key, self.blows.next_seam())
            except JobFailed:
                ended[key] = None
            except AccountingError:
                raise
            except (DocbatchError, Killed) as error:
                self.broken_by = error
                waiting.append(key)
        return ended

    def run(self, key: str, seam: Seam) -> RunSummary:
        return run_to_the_end(behind(seam, self.world.services), self.world.order(key), Unseen(), PACE)

    def calm(self) -> None:
        """Nothing goes wrong any more."""
        self.world.bedrock.faults.replace(FaultPlan())

    def may_be_lost_on_demand(self) -> int:
        """Calls that were perhaps billed, and whose answers did not reach the store."""
        in_flight = self.blows.deaths * self.trouble.settings["on_demand_threads"]
        return self.cutting.cut + self.blows.answers_lost + in_flight

    def charges(self) -> list[Charge]:
        return self.world.bedrock.bill.charges()


def price_of(charges: list[Charge]) -> Decimal:
    """What the endpoint's own bill comes to at the catalogue's prices."""
    model, _ = find_model("meta.llama3-1-8b-instruct-v1:0")
    total = Decimal(0)
    for one in charges:
        price = model.price_on(one.mode, TODAY)
        assert price is not None
        total += (one.input_tokens * price.input_usd + one.output_tokens * price.output_usd) / 1_000_000
    return total


def cut_at_first(night: Night, *keys: str) -> set[str]:
    """Records whose answer ended at its limit: it is not kept for other runs, which may ask for a longer one."""
    stores = [night.world.state(key).store for key in keys]
    files = [store.read(one.key) for store in stores for one in store.list("rounds") if "/outcomes/" in one.key]
    return {one.record_id for content in files for one in from_parquet(OutcomeRecord, content) if one.truncated}
