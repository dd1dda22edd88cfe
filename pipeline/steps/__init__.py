"""The few functions that Airflow and the command line call; the only place where core and I/O meet.

    start -> for each round: prepare (per shard) -> plan -> submit, describe, collect (per batch)
          -> fold (per shard) -> publish

Each takes the run's uri and names what it works on, keeps all state in the work store, and may be repeated.
"""

from pipeline.steps.collect import collect, is_collected
from pipeline.steps.fold import fold
from pipeline.steps.on_demand import kept_answers
from pipeline.steps.orders import RunOrder
from pipeline.steps.plan import plan
from pipeline.steps.prepare import prepare
from pipeline.steps.publish import publish
from pipeline.steps.run import Services, connect, work_uri_for
from pipeline.steps.start import start
from pipeline.steps.submit import describe, submit
from pipeline.steps.summary import RunSummary

__all__ = [
    "RunOrder",
    "RunSummary",
    "Services",
    "collect",
    "connect",
    "describe",
    "fold",
    "is_collected",
    "kept_answers",
    "plan",
    "prepare",
    "publish",
    "start",
    "submit",
    "work_uri_for",
]
