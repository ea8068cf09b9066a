"""The properties that every simulated run must have.

Judges what is left of a world when all is over: what was written, how the job ended, who still lives, what the store
holds. It must not know how things came about."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from flowjob.core.checkpoint_settings import Mode, Unaligned
from flowjob.errors import FlowjobError
from flowjob.runtime.jobmanager.request import LATEST
from flowjob.runtime.jobmanager.snapshot_store import results_of
from flowjob.testing.simulation import reference, shipped
from flowjob.testing.simulation.audit import Audit
from flowjob.testing.simulation.client import Life
from flowjob.testing.simulation.jobs import JobSpec
from flowjob.testing.simulation.playing import Play
from flowjob.testing.simulation.process import KILLED
from flowjob.testing.simulation.scenario import Scenario
from flowjob.testing.simulation.world import World

_LATE = 3.0
"""Seconds that an undisturbed checkpoint may take, while neither network nor store hold anything up."""

_LOOKS = 10_000
"""At the clock, one after the other: so much computing may come before a checkpoint."""

_SETTLED = 2.0
"""Seconds after which the JobManager surely knows what became of an append to its log."""


def judge(world: World, scenario: Scenario, play: Play, audit: Audit | None) -> list[str]:
    """Every property that does not hold."""
    found = [f"nobody handled this: {text}" for text in world.complaints]
    found += world.ledger.faults + world.storage.watch.faults + play.problems
    found += [] if audit is None else audit.problems
    found += _pending_savepoints(world, play)
    if _undisturbed(scenario) and not scenario.departures:
        found += world.storage.watch.lingers
    for life in play.lives:
        if life.error is not None:
            found += _wrong_end(world, scenario, life, life.error)
        elif life.result is not None and _undisturbed(scenario):
            found += _no_progress(world, scenario, life)
        if life.error is None and life.result is None and life.process.status not in (None, KILLED):
            found.append("the client ended without result or error")
    read = None if audit is None else audit.read
    if play.drained is not None and read is None:
        found.append("what was drained cannot be told from its savepoint")
    elif play.lives[-1].result is not None:
        found += _wrong_output(world, scenario, play, read)
    for process in world.processes:
        if process.left and process.status != KILLED:
            found.append(f"{process.name} returned while these still ran: {process.left}")
    return found


def _pending_savepoints(world: World, play: Play) -> list[str]:
    """Of a job that goes on, that were answered with success: whoever begins from one must have nothing to publish."""
    asked = [(wish, answer) for life in play.lives for wish, answer in life.asked]
    places = [a.place for wish, a in asked if wish.what == "savepoint" and a is not None]
    found = []
    for place in filter(None, places):
        manifest = world.storage.watch.manifest(place.partition("://")[2].partition("/")[2])
        if results_of(manifest):
            found.append(f"savepoint {place} of a job that went on holds results to publish")
    return found


def _wrong_output(
    world: World, scenario: Scenario, play: Play, read: Mapping[tuple[int, int], int] | None
) -> list[str]:
    """`read`: rows of each split; None: all."""
    settings = scenario.checkpoints
    rows, hidden = written(world, scenario.job)
    # What another run has begun is not known to this one.
    if hidden and all(life.start == LATEST for life in play.lives[1:]):
        return [f"{len(hidden)} files are left that nobody will finish: {hidden[:3]}"]
    given = reference.given_to(scenario.job, read)
    again = world.happened.get("running", 0) > 1
    if again and (settings is None or settings.mode is Mode.AT_LEAST_ONCE):
        # Where nothing is kept, what starts again begins anew: nothing is lost, much is doubled.
        return reference.missing_from(scenario.job, given, rows)
    # Rows in flight stay in their channel, but their split may be read on by somebody else.
    in_order = not again or settings is None or settings.unaligned is Unaligned.NEVER
    rescaled = len({life.parallelism for life in play.lives}) > 1
    return reference.problems_of(scenario.job, given, rows, in_order=in_order, rescaled=rescaled)


def written(world: World, job: JobSpec) -> tuple[list[dict[str, Any]], list[str]]:
    """What its sink has made visible, and the names of files that are not."""
    return shipped.written(world) if job.writes == "files" else (world.ledger.rows, [])


def _undisturbed(scenario: Scenario) -> bool:
    return not scenario.faults and not scenario.job.fail_at and not _bad_store(scenario)


def _no_progress(world: World, scenario: Scenario, life: Life) -> list[str]:
    """Checkpoints are as often as they were wished for, or nearly."""
    settings = scenario.checkpoints
    if settings is None or settings.interval is None or life.overtaken:
        return []
    commits = [t for t, _ in world.storage.watch.commits if life.running_at < t < life.stopped_at]
    if not commits:
        return ["no checkpoint at all, not even when everything had ended"]
    # Behind the last one sinks publish, which takes them as long as they like.
    times = pairwise([life.running_at, *commits])
    longest = max(world.unhindered(earlier, later) for earlier, later in times)
    late = _LATE + _LOOKS * scenario.physics.cpu
    if longest <= settings.interval + settings.min_pause + late:
        return []
    return [
        f"no checkpoint for {longest:.3f} s in which nothing was slow, though one was wished for every "
        f"{settings.interval} s"
    ]


def _wrong_end(world: World, scenario: Scenario, life: Life, error: FlowjobError) -> list[str]:
    """A job may only fail for a reason, and must say which."""
    text, kind = str(error), type(error).__name__
    if not text.strip():
        return [f"{kind} says nothing"]
    if life.overtaken or world.storage.is_damage(error):
        return []
    if _undisturbed(scenario):
        return [f"it failed although nothing was wrong: {kind}: {text}"]
    known = world.storage.had_committed(life.stopped_at - _SETTLED)
    if "InjectedFailure" in text and not known:
        return []  # a function that fails before anything is saved is not tried again
    has_run = life.runs > 0  # what fails before that is not started again
    if has_run and scenario.restarts is not None and not _bad_store(scenario):
        return [f"it was not started again until it succeeded: {kind}: {text}"]
    alone = not scenario.faults and scenario.restarts is None
    if scenario.job.fail_at and alone and "InjectedFailure" not in text:
        return [f"its user function failed, but the error is {kind}: {text}"]
    return []


def _bad_store(scenario: Scenario) -> bool:
    store = scenario.store
    return scenario.checkpoints is not None and max(store.failing, store.lying) > 0
