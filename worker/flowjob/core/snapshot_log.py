"""The records of a job's log, and what they amount to: who leads, what is committed, where a restart begins.

Pure and plain (JSON-able structs, tagged, fields only ever added), so that every reader comes to the same state. Where
entries are kept and how numbers are won is runtime/storage/job_log.py."""

from __future__ import annotations

import msgspec
import msgspec.structs

RETIRED_KEPT = 64
"""So many retired snapshots stay in the state: a new leader deletes again what its predecessor may not have. And so
many that are published."""


DISCARDED = "discarded"
"""An outcome: the job has no newest snapshot then, and all of its checkpoints may be retired."""


class Claim(msgspec.Struct, frozen=True, tag_field="record", tag="claim", omit_defaults=True):
    """A JobManager leads from here on.

    revision      of the job it runs: its plan, for people
    address       where it can be asked whether it lives
    job_revision  of the job file it was started with: one that is older than the newest is refused. 0: it has none
    parallelism   that it runs the job with; `asked` is what the file said. 0: not said
    """

    generation: int
    revision: str
    address: str = ""
    job_revision: int = 0
    parallelism: int = 0
    asked: int = 0


class Begin(msgspec.Struct, frozen=True, tag_field="record", tag="begin", omit_defaults=True):
    """A run begins, from snapshot `source` (a name for storage; empty: from nothing). Restarts never go back beyond it:
    what is committed before belongs to other runs, and is only kept until it is retired. `name`: what its JobManagers
    call the run; empty: that is in `run`, which sinks make names of. `job_revision`: as in Claim."""

    generation: int
    run: str
    source: str = ""
    name: str = ""
    job_revision: int = 0


class Commit(msgspec.Struct, frozen=True, tag_field="record", tag="commit", omit_defaults=True):
    """`snapshot` is complete and counts: its manifest is stored under that name.

    checksum   zlib.crc32 of the manifest, in older logs; 0 where there is a digest
    savepoint  it is the user's and never retired
    digest     of the manifest, as `sha256:…`
    results    how many items of sinks are published with it; -1: not known, in older logs
    """

    generation: int
    snapshot: int
    manifest: str
    checksum: int = 0
    savepoint: bool = False
    digest: str = ""
    results: int = -1


class Retire(msgspec.Struct, frozen=True, tag_field="record", tag="retire"):
    """Nobody needs `snapshot` any more: from here on its objects may be deleted."""

    generation: int
    snapshot: int


class Finish(msgspec.Struct, frozen=True, tag_field="record", tag="finish", omit_defaults=True):
    """The run is over and is not to be continued: `outcome` is `succeeded`, `suspended` (stopped with a savepoint),
    `cancelled` or `failed`; of the last two `reason` says more, of `failed` also `code` (docs/errors.md). DISCARDED:
    somebody wants none of its checkpoints any more."""

    generation: int
    outcome: str
    reason: str = ""
    code: str = ""


class Published(msgspec.Struct, frozen=True, tag_field="record", tag="published"):
    """All that `snapshot`, the last of a run, holds of sinks is visible: whoever begins from it has nothing to publish,
    and need not find it where it was written."""

    generation: int
    snapshot: int


Record = Claim | Begin | Commit | Retire | Finish | Published


class LogState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a log amounts to. Bounded, however long the log.

    generation  of the newest Claim; 0 before the first
    address     what that says, as are `job_revision`, `parallelism` and `asked`
    run, source what the newest Begin says, as is `name`; `begun_by` its job_revision
    ended       how that run has ended; empty: it has not, as far as is known. `reason` and `code` say more
    committed   not retired, oldest first
    retired     the newest few, oldest first
    highest     the largest snapshot id in any record
    newest_id   the restore point of this run, 0 before its first
    began_above snapshots of this run have larger ids; -1: not known, in older logs
    published   snapshots that have nothing left to publish; the newest few, oldest first
    """

    generation: int = 0
    revision: str = ""
    run: str = ""
    source: str = ""
    committed: tuple[Commit, ...] = ()
    retired: tuple[int, ...] = ()
    highest: int = 0
    newest_id: int = 0
    began_above: int = -1
    published: tuple[int, ...] = ()
    address: str = ""
    ended: str = ""
    reason: str = ""
    code: str = ""
    name: str = ""
    begun_by: int = 0
    job_revision: int = 0
    parallelism: int = 0
    asked: int = 0

    @property
    def newest(self) -> Commit | None:
        """Where a restart of this run begins; None: where the run began."""
        return self.find(self.newest_id)

    @property
    def stopped(self) -> bool:
        """The run was stopped with a savepoint: whoever takes it over commits what that has pending, no more. (No
        other savepoint is in the log.)"""
        return self.newest is not None and self.newest.savepoint

    @property
    def retained(self) -> tuple[int, ...]:
        """Checkpoints (not savepoints) that are not retired, oldest first."""
        return tuple(c.snapshot for c in self.committed if not c.savepoint)

    def find(self, snapshot: int) -> Commit | None:
        """Whether it is committed and not retired. The way to settle a Commit whose append had no known outcome, after
        a new Claim: what is not in the log before that never will be."""
        return next((c for c in self.committed if c.snapshot == snapshot), None)


def refusal(state: LogState, record: Record) -> str | None:
    """Why `record` must not be appended, None if it may: ask before every append."""
    if isinstance(record, Claim):
        if record.generation != state.generation + 1:
            return f"a claim of generation {record.generation} after {state.generation}"
        return outdated(state, record.job_revision)
    if record.generation < state.generation:
        return f"generation {record.generation} leads no more, {state.generation} does"
    if record.generation > state.generation:
        return f"generation {record.generation} has not claimed leadership"
    match record:
        case Commit(snapshot=snapshot) if snapshot <= state.highest:
            return f"snapshot {snapshot} is not above {state.highest}: no id is used twice"
        case Retire(snapshot=snapshot):
            return _retire_refusal(state, snapshot)
        case Published(snapshot=snapshot) if snapshot != state.newest_id:
            return f"snapshot {snapshot} is not the newest of the run"
    return None


def outdated(state: LogState, job_revision: int) -> str | None:
    """Why a JobManager of this revision may not lead. One that has none may not either, where others have."""
    if job_revision >= state.job_revision:
        return None
    return f"revision {state.job_revision} has led the job, and this is revision {job_revision}"


def _retire_refusal(state: LogState, snapshot: int) -> str | None:
    """A snapshot that was never committed may be retired, too: then what an aborted one left is deleted."""
    if snapshot >= state.newest_id and state.ended != DISCARDED:
        return f"snapshot {snapshot} may be needed: nothing newer is committed"
    known = state.find(snapshot)
    if known is not None and known.savepoint:
        return f"snapshot {snapshot} is a savepoint: only who took it deletes it"
    return None


def apply(state: LogState, record: Record) -> LogState:
    """The state after `record`. One that should not have been appended counts for nothing: neither an old leader's
    commit nor its retirement can do harm, even if it got into the log."""
    if refusal(state, record) is not None:
        return state
    replace = msgspec.structs.replace
    match record:
        case Claim():
            names = ("generation", "revision", "address", "job_revision", "parallelism", "asked")
            return replace(state, **{name: getattr(record, name) for name in names})
        case Begin(_, run, source, name, by):
            above = state.highest
            begun = replace(state, run=run, name=name, begun_by=by, source=source, newest_id=0)
            return replace(begun, began_above=above, ended="", reason="", code="")
        case Finish(_, outcome, reason, code):
            ended = replace(state, ended=outcome, reason=reason, code=code)
            return replace(ended, newest_id=0, source="") if outcome == DISCARDED else ended
        case Published(snapshot=snapshot):
            published = (*(p for p in state.published if p != snapshot), snapshot)
            return replace(state, published=published[-RETIRED_KEPT:])
        case Commit(snapshot=snapshot):
            return replace(
                state,
                committed=(*state.committed, record),
                highest=max(snapshot, state.highest),
                newest_id=snapshot,
            )
        case Retire(snapshot=snapshot):
            retired = (*(r for r in state.retired if r != snapshot), snapshot)
            return replace(
                state,
                committed=tuple(c for c in state.committed if c.snapshot != snapshot),
                retired=retired[-RETIRED_KEPT:],
            )


def fold(records: list[Record]) -> LogState:
    """The state after all of them."""
    state = LogState()
    for record in records:
        state = apply(state, record)
    return state
