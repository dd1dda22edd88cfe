"""Real processes on the embedded stack: runs that are killed, raced and resumed, and what they were billed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from pipeline.analyses import shipped_prompts
from pipeline.local.bill import Bill, Charge
from pipeline.local.stack import Stack
from pipeline.storage.objects import absolute_uri
from tests.chaos.night import price_of
from tests.chaos.one_run import STACK, Ended, Order
from tests.chaos.scene import THREADS, Billed, faults, put_documents, tables_of
from tests.local.test_control import Control

SHORT_DOCUMENTS = 38  # by three analyses, so that the first round is a job: Bedrock's minimum is 100 records
SETTINGS = {
    "LEASE_SECONDS": "0.5",
    "POLL_SECONDS": "0.05",
    "ON_DEMAND_THREADS": str(THREADS),
    "SHARD_DOCUMENTS": "25",
}

# Libraries that start a thread as soon as they are imported: a forked child would not have it.
NO_THREADS = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "OPENBLAS_NUM_THREADS": "1",
}


class Zygote:
    """A process that has loaded everything, and forks one run at a time."""

    def __init__(self, environment: dict[str, str]) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", "tests.chaos.one_run"]
        root = Path(__file__).parent.parent.parent
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment, cwd=root)
        assert self._read() == "ready"

    def begin(self, order: Order) -> None:
        """Fork the run; `end` waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(asdict(order)).decode() + "\n")
        self._process.stdin.flush()

    def end(self) -> Ended:
        return Ended(**orjson.loads(self._read()))

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@dataclass
class Arena:
    """Two processes, the documents, and the endpoint's bill. Every `place` is a work store and an output of its own."""

    folder: Path
    bill: Bill
    zygotes: tuple[Zygote, Zygote]
    seen: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    @contextmanager
    def opened(cls, stack: Stack, home: Path, folder: Path) -> Iterator[Arena]:
        """Starts the processes and puts the scene's faults in force; ends both."""
        prompts = folder / "prompts"
        shutil.copytree(shipped_prompts(), prompts)
        declaration = prompts / "summarization" / "analysis.toml"
        declaration.write_text("chunk_tokens = 256\n" + declaration.read_text("utf-8"), "utf-8")
        put_documents(folder / "documents", SHORT_DOCUMENTS, 2)
        settings = {f"DOCBATCH_{name}": value for name, value in SETTINGS.items()}
        given = {STACK: orjson.dumps(asdict(stack)).decode(), "DOCBATCH_PROMPTS": str(prompts)}
        environment = os.environ | settings | given | NO_THREADS
        control = Control(stack)
        control.plan(**faults(0.04).model_dump(mode="json", exclude_defaults=True))
        bill = Bill(next(home.rglob("bill.sqlite")))
        zygotes = (Zygote(environment), Zygote(environment))
        try:
            yield cls(folder, bill, zygotes)
        finally:
            for zygote in zygotes:
                zygote.close()
            bill.close()
            control.ask("DELETE", "faults")

    def order(self, place: str, run_key: str = "night", *, racer: int = 0, dies_after: int | None = None) -> Order:
        """A run with that key at a place; racers at one place write logs of their own."""
        folder = self.folder / place
        folder.mkdir(exist_ok=True)
        output, log = absolute_uri(str(folder / "output")), str(folder / f"{racer}.log")
        return Order(
            run_key, absolute_uri(str(self.folder / "documents")), output, f"s3://docbatch/{place}", log, dies_after
        )

    def elsewhere(self, order: Order, place: str) -> Order:
        """The same order with its output at another place; the work store stays."""
        return replace(order, output_uri=self.order(place).output_uri)

    def run(self, order: Order, **how: Any) -> Ended:
        """One run, to its end."""
        self.zygotes[0].begin(replace(order, **how))
        return self.zygotes[0].end()

    def finish(self, order: Order) -> None:
        """One run, which nothing disturbs."""
        ended = self.run(order)
        assert ended == Ended(None, 0), self.told(order)

    def tables(self, place: str) -> dict[str, Any]:
        return tables_of(self.folder / place / "output")

    def newly_billed(self) -> Billed:
        """What was billed since this was asked last."""
        return Billed.of(self._new_charges())

    def newly_billed_usd(self) -> Decimal:
        """The same at the catalogue's prices."""
        return price_of(self._new_charges())

    def _new_charges(self) -> list[Charge]:
        charges = [one for one in self.bill.charges() if (one.source_id, one.place) not in self.seen]
        self.seen |= {(one.source_id, one.place) for one in charges}
        return charges

    @staticmethod
    def calls(order: Order) -> list[str]:
        """The calls that took effect in the newest run of an order."""
        return Path(order.log).read_text("utf-8").splitlines()

    @staticmethod
    def told(order: Order) -> str:
        """Why a run failed, if it said so."""
        path = Path(order.log).with_suffix(".error")
        return path.read_text("utf-8") if path.exists() else "nothing was said"
