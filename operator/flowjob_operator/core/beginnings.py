"""What a start begins with: the decision of the first start, repeated until the log shows that it was carried out.

Never empty by mistake: what is known to be complete is always passed on as `expected`, and only upgrade.mode Stateless
makes a beginning with nothing where there was something. The JobManager resolves it; see JobFile.restore. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from flowjob.cluster.control_api import Snapshot
from flowjob_operator.core.actions import CreateSnapshot
from flowjob_operator.core.revision import Beginning
from flowjob_operator.core.turn import ENDED, Turn
from flowjob_operator.resources.fields import Reference
from flowjob_operator.resources.flowjob_spec import FlowJobSpec, UpgradeMode
from flowjob_operator.resources.flowjob_status import OperationType, Start, StartMode
from flowjob_operator.resources.flowsnapshot import FlowSnapshotSpec, SnapshotPhase
from flowjob_operator.resources.kinds import FlowJob, FlowSnapshot
from flowjob_operator.resources.snapshot_facts import SnapshotFact, SnapshotType

_ANEW = frozenset({OperationType.UPGRADE, OperationType.RESTART, OperationType.MOVE})
"""What a user may ask for with mode Stateless. Resuming is none of it: suspension promises to keep state."""

_DECIDING = frozenset({OperationType.START, OperationType.RESTORE, OperationType.MOVE})
"""What says with which state the job begins; all others go on with what there is."""


@dataclass(frozen=True, slots=True)
class Found:
    """State to begin with; None: nothing was asked for."""

    path: str | None


@dataclass(frozen=True, slots=True)
class NotYet:
    """It is not there; it may come."""

    why: str


def fact(snapshot: Snapshot) -> SnapshotFact:
    """As status keeps it."""
    return SnapshotFact.of(
        {
            "type": snapshot.type,
            "id": snapshot.id,
            "path": snapshot.path,
            "checksum": snapshot.checksum or None,
            "completedAt": snapshot.completed_at or None,
            "size": snapshot.size,
        }
    )


def is_stateless(turn: Turn, kind: OperationType) -> bool:
    """The user has said that what the job has done is to be forgotten."""
    return kind in _ANEW and turn.spec.upgrade.mode is UpgradeMode.STATELESS


def start_of(turn: Turn) -> Start:
    """What the operation's revision begins with: as the last start, unless the operation is about just that."""
    operation, last = turn.operation, turn.status.start
    if operation is None or operation.revision is None:
        return last or Start(mode=StartMode.EMPTY)
    kind, number = operation.type, operation.revision
    # A first start that is tried again may have been carried out unseen: it is still that one.
    first = number if last is None or kind is not OperationType.START else last.revision
    anew = Start(mode=StartMode.EMPTY, decided_at=turn.now, revision=first)
    if is_stateless(turn, kind):
        return anew.model_copy(update={"prefix": f"from-{number}"})
    known = operation.expected
    if kind is OperationType.MOVE and known is None:
        known = turn.status.expected
    if last is not None and kind not in _DECIDING:
        return last
    if known is not None:
        return anew.model_copy(update={"mode": StartMode.SNAPSHOT, "path": known.path})
    if last is None or (kind is OperationType.START and not _is_its_own(turn, last)):
        return anew
    return last


def _is_its_own(turn: Turn, start: Start) -> bool:
    """It began with a snapshot that no spec has named: one of the job, which has state then."""
    named = turn.deployed is not None and turn.deployed.revision.written.job.restore_from
    return start.mode is StartMode.SNAPSHOT and not named


def beginning(start: Start, expected: SnapshotFact | None, spec: FlowJobSpec) -> Beginning:
    """For the job file. What is expected was completed after the decision, so that is history; as long as nothing is,
    `since` lets the JobManager see whether the decision was carried out already."""
    mode = "Latest"
    if expected is not None:
        pass
    elif start.mode is StartMode.SNAPSHOT:
        mode = "Snapshot"
    elif start.mode is StartMode.EMPTY and start.prefix is not None:
        mode = "Empty"
    return Beginning(
        mode=mode,
        path=start.path if mode == "Snapshot" else None,
        since=0 if mode == "Latest" else start.revision or 0,
        expected=None if expected is None else expected.path,
        allow_non_restored=bool(spec.job.allow_non_restored),
        prior_state="Refuse" if spec.prior_state is None else spec.prior_state.value,
    )


def beginning_now(turn: Turn) -> Beginning:
    """Of what is deployed."""
    start = turn.status.start or Start(mode=StartMode.EMPTY)
    return beginning(start, turn.status.expected, turn.spec)


def beginning_of_operation(turn: Turn) -> Beginning:
    """Of what the operation is about to deploy."""
    start = start_of(turn)
    expected = turn.status.expected if start == turn.status.start else None
    return beginning(start, expected, turn.spec)


def source(turn: Turn) -> Found | NotYet:
    """Where the state lies that spec.job.restoreFrom names."""
    wanted = turn.spec.job.restore_from
    if wanted is None:
        return Found(None)
    if wanted.path is not None:
        return Found(wanted.path)
    if wanted.snapshot is not None:
        return _of_snapshot(turn.seen.source_snapshot, wanted.snapshot)
    if turn.seen.source_job is None:
        return NotYet(f"restoreFrom: there is no FlowJob {wanted.job}")
    return _of_job(turn, turn.seen.source_job)


def _of_snapshot(snapshot: FlowSnapshot | None, name: str) -> Found | NotYet:
    if snapshot is None:
        return NotYet(f"restoreFrom: there is no FlowSnapshot {name}")
    phase, path = snapshot.status.phase, snapshot.status.path
    if phase is SnapshotPhase.COMPLETED and path is not None:
        return Found(path)
    if phase in (SnapshotPhase.FAILED, SnapshotPhase.ABANDONED, SnapshotPhase.DELETING):
        return NotYet(f"restoreFrom: FlowSnapshot {name} is {phase.value}: name another one")
    return NotYet(f"restoreFrom: FlowSnapshot {name} is not complete yet")


def _of_job(turn: Turn, other: FlowJob) -> Found | NotYet:
    """A job that runs retires its checkpoints within seconds, so a savepoint of it is taken for us."""
    name, state = other.metadata.name, other.status.job and other.status.job.state
    if state is None or state in ENDED:
        if other.status.expected is None:
            return NotYet(f"restoreFrom: FlowJob {name} has no complete snapshot")
        return Found(other.status.expected.path)
    # Of that job: one that was named before has left an object of its own.
    mark = hashlib.sha256(other.metadata.uid.encode()).hexdigest()[:8]
    ours = f"{turn.name}-{turn.uid[:8]}-from-{mark}-{turn.spec.job.restore_nonce or 0}"
    snapshot = next((s for s in turn.seen.source_snapshots if s.metadata.name == ours), None)
    if snapshot is None:
        spec = FlowSnapshotSpec(job_ref=Reference(name=name), type=SnapshotType.SAVEPOINT)
        turn.act(CreateSnapshot(name=ours, spec=spec, made_by="Restore"))
        return NotYet(f"restoreFrom: a savepoint of FlowJob {name} is being taken")
    return _of_snapshot(snapshot, ours)
