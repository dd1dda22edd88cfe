"""Hold what a run came to against what earlier runs did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.catalog.history import earlier_runs
from pipeline.quality import Seen, Tolerance, Verdict, judge
from pipeline.steps.counts import ShardCounts
from pipeline.steps.run import Run
from pipeline.steps.summary import by_analysis, models_of

if TYPE_CHECKING:
    from pipeline.catalog import Catalog


def judged(run: Run, shards: list[ShardCounts], catalog: Catalog) -> Verdict:
    """The verdict on a run that is about to be published to this catalog."""
    model, settings = models_of(shards) or "", run.services.settings
    now = {
        name: Seen(
            (run.manifest.analyses[name], model), one.results, one.failures - one.failures_again, one.empty, one.labels
        )
        for name, one in by_analysis(shards).items()
    }
    past = earlier_runs(catalog, run.manifest.run_key)
    return judge(now, past, Tolerance(settings.suspect_failure_share, settings.suspect_deviation))
