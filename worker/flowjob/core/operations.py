"""What the JobManager of a cluster does about a request: what is asked, what is the case -> steps, or a refusal.

Pure. A request may come again after its JobManager has died: what has been done by then is found in the facts, and
needs no step. Carrying steps out is runtime/jobmanager/operating.py's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """As in cluster/control_api.py."""

    SAVEPOINT = "Savepoint"
    CHECKPOINT = "Checkpoint"
    STOP = "Stop"
    CANCEL = "Cancel"
    RESCALE = "Rescale"
    SETTINGS = "Settings"
    NEW_ATTEMPT = "NewAttempt"


class Effect(Enum):
    """Of new settings on the job that runs."""

    NONE = "they hold already"
    LIVE = "they can change while tasks run"
    ATTEMPT = "tasks are told of them when they start"


class Step(Enum):
    """In the words of the request: which savepoint, which parallelism."""

    SAVEPOINT = "take the savepoint"
    CHECKPOINT = "take a checkpoint"
    TRY_CHECKPOINT = "take a checkpoint, if one can be had soon"
    STOP = "stop with the savepoint"
    CANCEL = "stop at once"
    END = "wait until the job has ended"
    DISCARD = "delete checkpoints"
    RECLAIM = "go on with the other parallelism"
    CHANGE = "let the settings hold"
    RESTART = "start all tasks again"
    RUN = "wait until all tasks run"


@dataclass(frozen=True, slots=True)
class Facts:
    """state        as in JobManagerView.state
    keeps        the job has a place for snapshots
    savepoint    one of the wanted name is complete; for a stop: and the job ends by it
    in_the_way   why a savepoint cannot get that name
    plan_error   why the job cannot run with the wanted parallelism
    parallelism  that it runs with, and `wanted`
    placed       slots are taken from the wanted TaskManagers only
    needed       slots with the wanted parallelism; `offered` by the wanted TaskManagers
    effect       of the wanted settings
    """

    state: str
    keeps: bool = True
    savepoint: bool = False
    in_the_way: str | None = None
    plan_error: str | None = None
    parallelism: int = 1
    wanted: int = 1
    placed: bool = True
    needed: int = 0
    offered: int = 0
    effect: Effect = Effect.LIVE


@dataclass(frozen=True, slots=True)
class Refused:
    """`code` as in docs/jobmanager-api.md."""

    code: str
    reason: str


Decision = tuple[Step, ...] | Refused

ENDED = frozenset({"Suspended", "Finished", "Cancelled", "Failed"})
_IN_BETWEEN = frozenset({"Waiting", "Starting", "Deploying", "Restarting"})


def decide(kind: Kind, facts: Facts) -> Decision:
    """The steps, none of them: it is done already. See the module."""
    match kind:
        case Kind.SAVEPOINT:
            return (
                () if facts.savepoint else _of_running(facts, (Step.SAVEPOINT,), facts.in_the_way)
            )
        case Kind.CHECKPOINT:
            return _of_running(facts, (Step.CHECKPOINT,))
        case Kind.STOP:
            if facts.state == "Suspended":
                return ()
            if facts.savepoint and facts.state not in ENDED:
                return (Step.END,)  # it is stored: the job ends by it, whatever happens
            return _of_running(facts, (Step.STOP, Step.END), facts.in_the_way)
        case Kind.CANCEL:
            return _cancel(facts)
        case Kind.RESCALE:
            return _rescale(facts)
        case Kind.SETTINGS:
            return _settings(facts)
        case Kind.NEW_ATTEMPT:
            if over := _over(facts):
                return over
            if facts.state in _IN_BETWEEN:
                return (Step.RUN,)  # one is on its way
            return (Step.TRY_CHECKPOINT, Step.RESTART, Step.RUN)


def _over(facts: Facts) -> Refused | None:
    if facts.state in ENDED:
        return Refused("ENDED", f"the job is {facts.state.lower()}")
    if facts.state == "Stopping":
        return Refused("ENDING", "the job is being stopped")
    return None


def _of_running(facts: Facts, steps: tuple[Step, ...], in_the_way: str | None = None) -> Decision:
    if over := _over(facts):
        return over
    if not facts.keeps:
        return Refused("NO_STORAGE", "the job has no place for snapshots (checkpoints.storage)")
    if in_the_way is not None:
        return Refused("NAME_TAKEN", in_the_way)
    # Who asks may do so right behind the start, or in the middle of a restart.
    return (Step.RUN, *steps) if facts.state in _IN_BETWEEN else steps


def _cancel(facts: Facts) -> Decision:
    if facts.state == "Cancelled":
        return ()
    if facts.state in ENDED:
        return Refused("ENDED", f"the job is {facts.state.lower()}")
    return (Step.CANCEL, Step.END)


def _rescale(facts: Facts) -> Decision:
    if over := _over(facts):
        return over
    if facts.plan_error is not None:
        return Refused("PLAN", facts.plan_error)
    if facts.parallelism == facts.wanted and facts.placed:
        return (Step.RUN,)
    if not facts.keeps:
        return Refused("NO_STORAGE", "state has no place to pass through (checkpoints.storage)")
    if facts.offered < facts.needed:
        return Refused(
            "SLOTS_UNAVAILABLE",
            f"parallelism {facts.wanted} needs {facts.needed} slots, and {facts.offered} are offered: ask again when "
            "TaskManagers have come",
        )
    if facts.state in _IN_BETWEEN:
        return (Step.RECLAIM, Step.RUN)  # nothing runs that a checkpoint could be taken of
    return (Step.TRY_CHECKPOINT, Step.RECLAIM, Step.RUN)


def _settings(facts: Facts) -> Decision:
    if over := _over(facts):
        return over
    match facts.effect:
        case Effect.NONE:
            return ()
        case Effect.LIVE:
            return (Step.CHANGE,)
        case Effect.ATTEMPT if facts.state in _IN_BETWEEN:
            return (Step.CHANGE, Step.RESTART, Step.RUN)  # they may have been told already
        case Effect.ATTEMPT:
            return (Step.TRY_CHECKPOINT, Step.CHANGE, Step.RESTART, Step.RUN)
