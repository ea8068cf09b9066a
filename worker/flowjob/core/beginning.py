"""What the job of a cluster begins with: what its job file wishes, what storage knows -> a decision.

Pure; reading is runtime/jobmanager/cluster_beginning.py's, and a run that the log has already is continued
(core/recovery.py) without any of this. The one rule above all: where there was state once, a job never begins empty,
except by its user's word."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from flowjob.core.snapshot_log import LogState


class Mode(Enum):
    """As in the job file (cluster/job_file.py), where each is described."""

    LATEST = "Latest"
    SNAPSHOT = "Snapshot"
    EMPTY = "Empty"


class Prior(Enum):
    """What is to become of what an earlier job of the same name has left."""

    REFUSE = "Refuse"
    RESUME = "Resume"
    IGNORE = "Ignore"


@dataclass(frozen=True, slots=True)
class Wish:
    """path      a snapshot to begin with: always by SNAPSHOT, on the very first start by LATEST
    since     the revision that was the first to be started so: where the log has a run of it or of a later one, this
              was done, and the start goes on as by LATEST. 0: `mode` as it says
    expected  a snapshot that is known to have been complete
    """

    mode: Mode = Mode.LATEST
    path: str | None = None
    since: int = 0
    expected: str | None = None
    prior: Prior = Prior.REFUSE


@dataclass(frozen=True, slots=True)
class Expected:
    """What was found out about `Wish.expected`.

    own    it lies in this job's part of the storage
    id     of the checkpoint, which its name tells, or of the savepoint, as the log has it; None: not known
    found  its manifest is there
    """

    own: bool
    id: int | None = None
    found: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """The log as it is after this JobManager's claim. `earlier`: places of the newest complete snapshots that earlier
    jobs of this name have left, best first; only asked for when this one has never begun."""

    log: LogState
    expected: Expected | None = None
    earlier: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FromLog:
    """The newest of the log, or where its last run began."""


@dataclass(frozen=True, slots=True)
class FromPlace:
    path: str


@dataclass(frozen=True, slots=True)
class FromNothing:
    pass


class Code(Enum):
    """As in docs/errors.md."""

    PRIOR_STATE = "PRIOR_STATE"
    STATE_MISSING = "STATE_MISSING"
    SNAPSHOT = "SNAPSHOT"


@dataclass(frozen=True, slots=True)
class Refused:
    code: Code
    reason: str


Beginning = FromLog | FromPlace | FromNothing | Refused


def begin(wish: Wish, known: Known) -> Beginning:
    """For a run that the log does not have. See the module."""
    log = known.log
    if wish.since and log.run and log.begun_by >= wish.since:
        return _latest(wish, known)
    if wish.mode is Mode.EMPTY:
        return _empty(log)
    if not log.run and known.earlier:
        match wish.prior:
            case Prior.REFUSE:
                return Refused(
                    Code.PRIOR_STATE,
                    f"an earlier job of this name has left state, the newest in {known.earlier[0]}. Say in priorState "
                    "what is to become of it: Resume goes on from there, Ignore begins without it",
                )
            case Prior.RESUME:
                return FromPlace(known.earlier[0])
            case Prior.IGNORE:
                pass
    if wish.mode is Mode.SNAPSHOT:
        if wish.path is None:
            return Refused(Code.SNAPSHOT, "no snapshot was named to begin with (restore.path)")
        return FromPlace(wish.path)
    return _latest(wish, known)


def parallelism_of(log: LogState, revision: int, asked: int) -> int | None:
    """That the job has been rescaled to under this revision of its job file, whose `asked` is the same as then; None:
    it has not."""
    same = (log.job_revision, log.asked) == (revision, asked)
    return log.parallelism if same and log.parallelism else None


def _empty(log: LogState) -> Beginning:
    """By its user's word, but in a place of its own: else the next start could not tell old state from none."""
    if log.highest or log.source:
        state = f"snapshot {log.highest} was completed" if log.highest else "a run had state"
        return Refused(
            Code.STATE_MISSING,
            f"the job is to begin with nothing in a place where {state}: give it another "
            "storage.location, or mode Latest",
        )
    return FromNothing()


def _latest(wish: Wish, known: Known) -> Beginning:
    log, expected = known.log, known.expected
    if log.newest_id:
        if expected is not None and expected.own and (expected.id or 0) > log.newest_id:
            return Refused(
                Code.STATE_MISSING,
                f"snapshot {wish.expected} was complete once, but the newest that the job's log knows is "
                f"{log.newest_id}: something has removed a part of the log. Restore it, or name a "
                "snapshot to begin with",
            )
        return FromLog()
    if log.source:
        return FromLog()
    if log.highest:
        return Refused(
            Code.STATE_MISSING,
            f"the last run of the job has no snapshot, but earlier ones have had (up to {log.highest}): name the one "
            "to begin with",
        )
    if expected is not None:
        if expected.found and not expected.own:
            assert wish.expected is not None
            return FromPlace(wish.expected)
        return Refused(
            Code.STATE_MISSING,
            f"snapshot {wish.expected} was complete once, but the job's log knows of none: it is gone, or the storage "
            "is another one. Bring it back, or name a snapshot to begin with",
        )
    return FromNothing() if wish.path is None else FromPlace(wish.path)
