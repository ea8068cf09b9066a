"""From what a run begins: facts about what storage holds -> a decision. Nothing is started before there is one.

Pure: reading is runtime/jobmanager/leading.py's. The order of the checks matters: who does not lead must stop before
anything else, and whenever state was expected and is missing the answer is Refuse, never an empty one. An older one may
stand in for a checkpoint that cannot be read (`stand_ins`) only where sinks have published nothing since: else that
would be published twice."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from flowjob.core.snapshot_log import Commit, LogState


class From(Enum):
    """What was asked for."""

    NOTHING = "nothing"  # begin empty, whatever is there
    LATEST = "latest"  # the newest committed snapshot of the job, which there must be
    PATH = "path"  # the snapshot named by the user


class Health(Enum):
    """What reading a snapshot's manifest, and looking for what it names, has shown."""

    GOOD = "good"
    MISSING = "missing"
    DAMAGED = "damaged"  # not what was committed, unreadable, or an object it names is gone


@dataclass(frozen=True, slots=True)
class Candidate:
    """A snapshot that could be begun from. `name`: of its directory, for people and for storage. `detail`: what is
    wrong with it. `pending`: sinks (uid) with results that may not be published yet. `last`: no row comes after it,
    because all tasks had ended, or the run was stopped with it."""

    snapshot: int
    name: str
    health: Health = Health.GOOD
    detail: str = ""
    pending: tuple[str, ...] = ()
    last: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known after the log is claimed and read.

    generation   of this JobManager
    log          None: it could not be read, `log_trouble` says why
    run          this run; it is known to the log if a JobManager before has begun it
    asked        what the run was to begin from; `path` the snapshot named then
    newest       the log's newest snapshot of the run that began last, None if it has none
    source       what that run began from, None if that was nothing
    strays       there are checkpoints of the job that no log speaks of
    expected     whoever started this says that the job has run before (an operator's status, a revision above 1)
    known        uids that the program has; None: not compared
    lost         uids with state in the snapshot and not in the program
    allow_lost   the user agrees to leave those behind
    """

    generation: int
    log: LogState | None
    run: str
    asked: From = From.NOTHING
    path: Candidate | None = None
    newest: Candidate | None = None
    source: Candidate | None = None
    log_trouble: str = ""
    strays: bool = False
    expected: bool = False
    known: frozenset[str] | None = None
    lost: tuple[str, ...] = ()
    allow_lost: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """Begin from it."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class ReplayCommit:
    """Begin from it, and let its pending results be committed before anything new."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class NothingLeft:
    """The run has come to its end with it, and everything is published: who led then could not say so any more."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class StopOrphaned:
    """Another JobManager leads: end without touching anything."""

    generation: int


@dataclass(frozen=True, slots=True)
class StartFresh:
    """Begin from nothing."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Start nothing. `reason`: what, where, what to do."""

    reason: str


Decision = Ready | ReplayCommit | NothingLeft | StopOrphaned | StartFresh | Refuse


def resolve(facts: Facts) -> Decision:
    """See the module."""
    if facts.log is None:
        return Refuse(
            f"the job's log cannot be read ({facts.log_trouble}), so nobody knows which of its snapshots counts; "
            "repair the storage, or start from a snapshot by its path under another job name"
        )
    if facts.log.generation > facts.generation:
        return StopOrphaned(facts.log.generation)
    if facts.log.run == facts.run:
        return _nothing_left(facts.newest) or _continue(facts)
    match facts.asked:
        case From.PATH:
            if facts.path is None:
                return Refuse("no snapshot was named to start from")
            return _from(facts, facts.path)
        case From.LATEST:
            if facts.newest is not None or facts.source is not None:
                return _continue(facts)
            return Refuse(
                "there is no committed snapshot of this job to start from"
                + (_STRAYS if facts.strays else "; start without `--from`, or name a savepoint")
            )
        case From.NOTHING:
            if facts.expected:
                return Refuse(
                    "the job has run before and would start from nothing; start it from `latest` or from a savepoint"
                )
            return StartFresh()


_STRAYS = (
    ", though there are objects of checkpoints: its log is gone or in another place. Check the storage's location, or "
    "name one of them as the path to start from"
)


def _nothing_left(newest: Candidate | None) -> NothingLeft | None:
    """`newest` snapshot of a run's own: the one that it began from says nothing of its end."""
    if newest is None or newest.health is not Health.GOOD:
        return None
    return NothingLeft(newest) if newest.last and not newest.pending else None


def _continue(facts: Facts) -> Decision:
    """The run (or, asked for the latest, the one before) goes on where it was."""
    if facts.newest is not None:
        return _from(facts, facts.newest)
    assert facts.log is not None
    if facts.log.newest_id:
        return Refuse(
            f"the log says that snapshot {facts.log.newest_id} is the newest, but it is retired or unknown; "
            "start from a savepoint by its path"
        )
    if facts.source is not None:
        return _from(facts, facts.source)
    if facts.log.source:
        return Refuse(
            f"the run began from {facts.log.source}, which is not there any more; name another snapshot to start from"
        )
    if facts.expected:
        return Refuse(
            "state was expected, but no snapshot of this run was ever committed"
            + (_STRAYS if facts.strays else "; start it anew without state, or from a savepoint")
        )
    return StartFresh()


def _from(facts: Facts, candidate: Candidate) -> Decision:
    name = f"snapshot {candidate.name}"
    if candidate.health is not Health.GOOD:
        others = _others(facts, candidate)
        return Refuse(
            f"{name} is {candidate.health.value}: {candidate.detail or 'no more is known'}{others}"
        )
    if facts.lost and not facts.allow_lost:
        return Refuse(
            f"{name} has state of {', '.join(facts.lost)}, which the program has not: it would be lost. Give the "
            "operators their names back (`.named`), or allow it with --allow-non-restored"
        )
    homeless = [] if facts.known is None else [s for s in candidate.pending if s not in facts.known]
    if homeless:
        return Refuse(
            f"{name} has results of {', '.join(homeless)} that are not published yet, and the program has no such "
            "sink: start once with it, take a savepoint when they are published, and remove it then"
        )
    return ReplayCommit(candidate) if candidate.pending else Ready(candidate)


def _others(facts: Facts, candidate: Candidate) -> str:
    """Never chosen here: sinks may have published what came after them."""
    kept = facts.log.retained if facts.log is not None else ()
    older = [str(s) for s in kept if s != candidate.snapshot]
    if not older:
        return ". There is no other checkpoint; a savepoint can be named as the path to start from"
    return (
        f". Checkpoints {', '.join(older)} are kept; named as the path to start from they are used, and what was "
        "published after them is published again"
    )


def stand_ins(log: LogState) -> tuple[Commit, ...]:
    """Checkpoints of this run from which it can begin in place of the newest, without anything being published twice;
    the best one first.

    Between one of them and the newest no checkpoint may have brought results to publish, the newest included: whether
    they were published nobody knows. Of retired ones, and of those in older logs, that is not known either."""
    newest = log.newest
    if newest is None or log.began_above < 0:
        return ()
    own = [c for c in log.committed if log.began_above < c.snapshot < newest.snapshot]
    found: list[Commit] = []
    behind = newest
    for commit in reversed(own):
        if behind.results != 0 or any(commit.snapshot < r for r in log.retired):
            break
        found.append(commit)
        behind = commit
    return tuple(found)
