"""The commands of whoever operates runs: carry one out, resume, watch or stop it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Annotated, TypeVar

import typer

from pipeline.cli.connecting import AsJson, Output, connected, say, sending_nothing
from pipeline.errors import ObjectMissing, ServiceError, SettingsError, StackError, StorageError
from pipeline.loop import Looped, counted, run_to_the_end, stop_to_the_end
from pipeline.manifest import MANIFEST, open_key, refuse_illegal, run_folder
from pipeline.reports.writing import draw_reports
from pipeline.settings import Settings, load_settings
from pipeline.steps import RunOrder, RunSummary, Services, publish, work_uri_for
from pipeline.steps.run import Run, as_begun
from pipeline.steps.status import Phase, RunLine, RunStatus, phase_of, read_status, run_keys, run_lines
from pipeline.steps.stopping import reopen
from pipeline.steps.summary import SUMMARY, read_summary
from pipeline.steps.tombstones import read_tombstone
from pipeline.steps.withdrawing import withdrawn_since
from pipeline.storage.objects import absolute_uri
from pipeline.terminal import console, showing
from pipeline.terminal.progress import watch_for
from pipeline.terminal.showing import Frame, run_frame, runs_frame

T = TypeVar("T")

LOOK_SECONDS = (0.5, 5.0)  # between two looks of --follow, whatever the pause of the run itself is
MOST_SHOWN = 10  # keys in the message about a run that is not there
PATIENCE_SECONDS = 10.0  # with a busy Bedrock, before whoever only looks is told so
NOT_BEGUN = "Interrupted before a run was begun: this command sent nothing."

RunKey = Annotated[str, typer.Argument(metavar="RUN", help="Name of the run", show_default=False)]
AnyRunKey = Annotated[str | None, typer.Argument(metavar="RUN", help="Name of the run", show_default=False)]


def resume(
    run_key: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Name of the run; default: the newest open one", show_default=False),
    ] = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Continue a run that was broken off or stopped, or bring back a withdrawn one. Nothing is paid twice."""
    settings = load_settings({"output": output})
    with connected(settings, quiet=as_json) as services:
        work_uri = _work_uri(services, settings)
        run = find_run(services, work_uri, run_key or newest_open(services, work_uri, output))
        phase = phase_of(run)
        if phase is Phase.WITHDRAWN:
            publish(services, run.store.uri())
            _draw(services, read_summary(run.store), quiet=as_json)
        if phase in {Phase.PUBLISHED, Phase.WITHDRAWN}:
            _tell_published(run, as_json=as_json, back=phase is Phase.WITHDRAWN)
            return
        begun = run.manifest
        if not (run_key or as_json):
            say(f"Resuming {begun.run_key}, the newest open run.")
        reopen(services, run.store.uri())
        places = (begun.source_uri, begun.output_uri, work_uri)
        order = RunOrder(begun.run_key, begun.run_date, *places, force=begun.force)
        carry_out(replace(services, settings=as_begun(services.settings, begun)), order, output, as_json=as_json)


def status(
    run_key: AnyRunKey = None,
    output: Output = None,
    follow: Annotated[bool, typer.Option("--follow", help="Look again and again, until no run is open")] = False,
    as_json: AsJson = False,
) -> None:
    """Show every run, or the rounds, jobs and counts of one; also while another process works on it."""
    settings = load_settings({"output": output})
    patience = min(settings.retry_seconds, PATIENCE_SECONDS)
    hasty = sending_nothing(settings).model_copy(update={"retry_seconds": patience})
    with connected(hasty, quiet=True) as services:
        work_uri = _work_uri(services, settings)
        if run_key is None:
            _show(services, lambda: run_lines(services, work_uri), runs_frame, _none_open, follow, as_json)
        else:
            uri = find_run(services, work_uri, run_key).store.uri()
            _show(services, lambda: read_status(services, uri), run_frame, _is_at_rest, follow, as_json)


def stop(run_key: RunKey, output: Output = None, as_json: AsJson = False) -> None:
    """Stop a run's jobs and keep what they answered. `docbatch resume` goes on with what is missing."""
    settings = load_settings({"output": output})
    with connected(sending_nothing(settings), quiet=as_json) as services:
        run = find_run(services, _work_uri(services, settings), run_key)
        if phase_of(run) in {Phase.PUBLISHED, Phase.WITHDRAWN}:
            _tell_published(run, as_json=as_json)
            return
        was_stopped = phase_of(run) is Phase.STOPPED
        pace = Looped(services.settings.poll_seconds)
        try:
            found = stop_to_the_end(services, run.store.uri(), watch_for(sys.stderr, quiet=as_json), pace)
        except KeyboardInterrupt:
            say(f"The run is stopped, and its jobs end. To keep what they answer, repeat: docbatch stop {run_key}")
            raise
        now = read_status(services, run.store.uri())
    if as_json:
        print(console.to_json({"jobs_stopped": found.jobs, "batches_held_back": found.held_back, "run": now}))
        return
    print(f"Run {run_key}: {'was stopped already' if was_stopped and not found.begun else 'stopped'}")
    if not was_stopped or found.begun:
        print(f"Stopped    {counted(found.jobs, 'job')}; {counted(found.held_back, 'batch', 'es')} held back")
    print(f"Kept       {_kept(now)}")
    print(f"Paid       {console.usd(now.cost_usd)}")
    print(f"Continue   {resume_command(services, run_key, output)}")


def carry_out(services: Services, order: RunOrder, output: str | None, *, as_json: bool) -> None:
    """A run to its end, and what came out. One that breaks off says how to go on, one that was published says so."""
    pace = Looped(services.settings.poll_seconds)
    try:
        before = _published_before(services, order)
        summary = run_to_the_end(services, order, watch_for(sys.stderr, quiet=as_json), pace)
    except (StorageError, ServiceError, StackError, OSError, KeyboardInterrupt) as error:
        if _has_begun(services, order):
            say(f"The run is not complete. To continue it: {resume_command(services, order.run_key, output)}")
        elif isinstance(error, KeyboardInterrupt):
            say(NOT_BEGUN)
        raise
    report = _draw(services, summary, quiet=as_json)
    if as_json:
        print(SUMMARY.dump_json(summary).decode())
        return
    if before:
        print(f"{_when_published(before)}. Nothing was asked again, nothing paid; it came to what follows.")
        print(
            "To begin another run: leave --run-key out, or name another (with --force, what is known is asked again)."
        )
    console.print_summary(summary, sys.stdout, report)


@contextmanager
def nothing_begun() -> Iterator[None]:
    """What comes before a run: whoever interrupts it is told that there is none to continue."""
    try:
        yield
    except KeyboardInterrupt:
        say(NOT_BEGUN)
        raise


def _draw(services: Services, summary: RunSummary, *, quiet: bool) -> str | None:
    """The pages of the run; one that cannot be drawn is told, and the run is complete all the same."""
    with watch_for(sys.stderr, quiet=quiet).step("report") as step:
        drawn = draw_reports(services, summary)
        step.note(console.shown_place(drawn) if drawn else f"not drawn; repeat it: docbatch report {summary.run_key}")
    return drawn


def resume_command(services: Services, run_key: str, output: str | None) -> str:
    """What to type to continue a run; with the output where the work store is found by it."""
    found_by_output = output is not None and services.settings.work_uri is None
    return f"docbatch resume {run_key}" + (f" --output {shlex.quote(output or '')}" if found_by_output else "")


def _has_begun(services: Services, order: RunOrder) -> bool:
    """Whether there is anything to continue; taken for granted while the store cannot be asked."""
    try:
        return services.open(order.work_uri).exists(f"{run_folder(order.run_key)}/{MANIFEST}")
    except StorageError:
        return True


def _published_before(services: Services, order: RunOrder) -> RunSummary | None:
    """What the run came to when it was published; None while it is not, or goes on with being published."""
    work = services.open(order.work_uri)
    if work.exists(open_key(order.run_key)):
        return None
    with suppress(ObjectMissing):
        return read_summary(services.open(f"{order.work_uri}/{run_folder(order.run_key)}"))
    return None


def _when_published(summary: RunSummary) -> str:
    return f"Run {summary.run_key} was published on {summary.ended:%Y-%m-%d %H:%M} UTC"


def _work_uri(services: Services, settings: Settings) -> str:
    return work_uri_for(services.settings, absolute_uri(settings.output))


def find_run(services: Services, work_uri: str, run_key: str) -> Run:
    """Raises SettingsError for a run that is not there, naming those that are, or one that had not begun."""
    refuse_illegal(run_key)
    with suppress(ObjectMissing):
        return Run(services, f"{work_uri}/{run_folder(run_key)}")
    known = run_keys(services.open(work_uri))
    if run_key in known:  # its documents are being listed, or were when it was broken off
        raise SettingsError(
            f"run {run_key}: had not begun anything when it ended, or is still listing its documents; start it with: "
            f"docbatch run SOURCE --run-key {run_key}"
        )
    raise SettingsError(f"run {run_key}: there is no such run in {work_uri}; there are: {some_of(known)}")


def some_of(run_keys: list[str]) -> str:
    """The last of the keys, which are the newest where nobody chose them, and how many more there are."""
    shown, more = run_keys[: -MOST_SHOWN - 1 : -1], len(run_keys) - MOST_SHOWN
    return (", ".join(shown) or "none") + (f" and {more:,} more (docbatch status shows all)" if more > 0 else "")


def newest_open(services: Services, work_uri: str, output: str | None) -> str:
    """Of those that write to `output`, where it was named. Raises SettingsError when there is none."""
    runs = run_lines(services, work_uri)
    found = [one.run_key for one in runs if one.phase is Phase.OPEN]
    if found and output is None:
        return found[0]
    if found:
        wanted = absolute_uri(output or "")
        outputs = {key: find_run(services, work_uri, key).manifest.output_uri for key in found}
        for key, place in outputs.items():
            if place == wanted:
                return key
        others = some_of([f"{key} ({console.shown_place(outputs[key])})" for key in reversed(found)])
        raise SettingsError(
            f"no run that writes to {console.shown_place(wanted)} is open; to resume one of another output, name it: "
            f"{others}"
        )
    stopped = some_of(sorted(one.run_key for one in runs if one.phase is Phase.STOPPED))
    advice = f"name one that was stopped: {stopped}" if stopped != "none" else "begin one with: docbatch run"
    raise SettingsError(f"no run in {work_uri} is open; {advice}")


def _tell_published(run: Run, *, as_json: bool, back: bool = False) -> None:
    summary = read_summary(run.store)
    if as_json:
        print(SUMMARY.dump_json(summary).decode())
        return
    place = console.shown_place(summary.tables_uri)
    if since := withdrawn_since(run.work, summary.run_key):
        print(f"{_when_published(summary)}, and withdrawn on {since:%Y-%m-%d %H:%M} UTC: nothing is left to do.")
        print(f"To bring its rows back: docbatch resume {summary.run_key}")
        return
    left = "had been withdrawn, and its rows are back" if back else "nothing is left to do. Its tables are"
    print(f"{_when_published(summary)}: {left} in {place}")
    if tombstone := read_tombstone(run.store):
        print(f"Its work files were deleted on {tombstone.tidied:%Y-%m-%d %H:%M} UTC.")
    print("To begin another run: docbatch run, without --run-key or with another one.")


def _show(
    services: Services,
    read: Callable[[], T],
    frame: Callable[[T], Frame],
    ended: Callable[[T], bool],
    follow: bool,
    as_json: bool,
) -> None:
    seen = _looks(services, read, ended) if follow else iter([read()])
    if as_json:
        _print_changes(console.to_json(one) for one in seen)
    elif follow:
        showing.follow(map(frame, seen), sys.stdout)
    else:
        showing.print_view(frame(next(seen)).view, sys.stdout)


def _looks(services: Services, read: Callable[[], T], ended: Callable[[T], bool]) -> Iterator[T]:
    """What there is to see, until it is the end."""
    least, most = LOOK_SECONDS
    pace = Looped(min(max(services.settings.poll_seconds, least), most))
    while not ended(seen := read()):
        yield seen
        pace.sleep(pace.poll_seconds)
    yield seen


def _print_changes(lines: Iterator[str]) -> None:
    last = ""
    for line in lines:
        if line != last:
            print(last := line, flush=True)


def _none_open(runs: list[RunLine]) -> bool:
    return not any(one.phase is Phase.OPEN for one in runs)


def _is_at_rest(run: RunStatus) -> bool:
    """Published, or stopped with every job ended and collected."""
    ended = {Phase.PUBLISHED, Phase.WITHDRAWN, Phase.REFUSED, Phase.ABANDONED}
    return run.phase in ended or (run.phase is Phase.STOPPED and not run.open_jobs)


def _kept(now: RunStatus) -> str:
    answered, missing = now.counts.answered, now.counts.missing
    kept = f"{counted(answered, 'answer')}, known to every later run" if answered else "nothing was answered"
    return kept + (f"; {counted(missing, 'request')} of its jobs not answered" if missing else "")
