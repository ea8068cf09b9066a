"""What a cluster's JobManager says of its job, in the words of cluster/control_api.py, and of snapshots.

It looks, and decides nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from flowjob.cluster.control_api import Checkpointing, Slots, Snapshot
from flowjob.core.checkpoint_records import CheckpointRecord, Status
from flowjob.core.job_machine import JobState
from flowjob.core.slot_placement import Places
from flowjob.runtime.checkpoint.manifest import Manifest, PartEntry
from flowjob.runtime.checkpoint.manifest_io import digest, encode_manifest
from flowjob.runtime.jobmanager.checkpoints import CheckpointService
from flowjob.runtime.jobmanager.sessions import Sessions
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint

STATES = {
    JobState.WAITING: "Waiting",
    JobState.STARTING: "Starting",
    JobState.DEPLOYING: "Deploying",
    JobState.RUNNING: "Running",
    JobState.RESTARTING: "Restarting",
    JobState.STOPPING: "Stopping",
    JobState.ENDED: "Stopping",  # until it is known how, and said in the log
}

_LONGEST_ERROR = 2000
"""Characters; the whole of it is in the JobManager's log."""


def when(micros: int) -> str:
    """RFC 3339, UTC, of µs since the epoch."""
    text = datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def shortened(text: str) -> str:
    """An error for the view."""
    return text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…"


class SnapshotFacts:
    """Of snapshots. Remembers the last one: reading a large manifest anew for each look would be work for nothing."""

    def __init__(self) -> None:
        self._known: tuple[str, Snapshot] | None = None

    def of(self, point: RestorePoint, checksum: str = "") -> Snapshot:
        """`checksum`: of its manifest, as the log has it; else it is computed."""
        place = point.place
        if self._known is None or self._known[0] != place:
            self._known = (place, _snapshot_of(point, place, checksum))
        return self._known[1]


def _snapshot_of(point: RestorePoint, place: str, checksum: str) -> Snapshot:
    manifest = point.manifest
    return Snapshot(
        type="Savepoint" if manifest.kind == "savepoint" else "Checkpoint",
        id=manifest.id,
        path=place,
        checksum=checksum or digest(encode_manifest(manifest)),
        completed_at=when(manifest.created),
        size=size_of(manifest),
    )


def size_of(manifest: Manifest) -> int:
    """Bytes of state, wherever they are: in objects, or in the manifest itself."""
    parts: list[PartEntry] = []
    for task in manifest.tasks:
        parts += task.in_flight
        parts += [part for state in task.operators for part in state.parts]
    return sum(part.length for part in parts)


def checkpointing_of(
    service: CheckpointService | None, completed: int, facts: SnapshotFacts
) -> Checkpointing:
    """`completed`: before this tenure."""
    if service is None:
        return Checkpointing()
    records = service.history()
    newest = service.newest
    failed, error = failures_of(records)
    return Checkpointing(
        latest=None if newest is None else facts.of(newest, service.store.checksum(newest)),
        completed=completed + service.completed,
        failed_in_a_row=failed,
        error=error,
        under_way=sum(r.status in (Status.RUNNING, Status.STORING) for r in records),
    )


def failures_of(records: tuple[CheckpointRecord, ...]) -> tuple[int, str | None]:
    """How many checkpoints have failed since the last one that did not, and why the last of them."""
    failed, error = 0, None
    for record in reversed(records):
        if record.status is Status.COMPLETED:
            break
        if record.status is Status.FAILED:
            failed += 1
            error = error or record.reason
    return failed, error


def slots_of(needed: int, sessions: Sessions, places: Places) -> Slots:
    offers = sessions.offers()
    usable = sum(places.usable(name, slots) for name, slots in offers.items())
    return Slots(needed=needed, offered=usable, task_managers=len(offers))
