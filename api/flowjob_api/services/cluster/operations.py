"""What has become of what was asked for, read off the object that it was asked of: any replica can say.

Ids: `<uid>.<generation>` of a FlowJob; `snapshot.<namespace>.<name>` of a FlowSnapshot that was made; and
`deletion.<namespace>.<name>.<uid>` of one that is to go. Pure."""

from __future__ import annotations

from typing import Any, Final, Literal

from flowjob_api.schemas.operations import (
    JobRef,
    Operation,
    OperationError,
    OperationKind,
    OperationResult,
    Progress,
)
from flowjob_api.services.cluster import memos
from flowjob_api.services.cluster.facts import snapshot_fact, snapshot_of, verifies
from flowjob_api.services.cluster.kubernetes import Object

State = Literal["Pending", "Running", "Done", "Failed"]

ENDS: Final = {"Suspend": "Suspended", "Stop": "Suspended", "Cancel": "Cancelled"}
SNAPSHOT, DELETION = "snapshot", "deletion"


def of_job(found: Object, generation: int) -> Operation:
    """What was asked for by this generation of a FlowJob's spec."""
    memo = next((m for m in reversed(memos.read(found)) if m.generation == generation), None)
    memo = memo or memos.Memo("Upgrade", generation, "")
    status = found.get("status") or {}
    state, detail = _state(found, status, memo)
    about = found["metadata"]
    return Operation(
        id=f"{about['uid']}.{generation}",
        kind=_kind(memo.kind),
        job=JobRef(namespace=about["namespace"], name=about["name"]),
        state=state,
        progress=Progress(
            share=1.0 if state == "Done" else None, step=detail if state != "Failed" else ""
        ),
        started_at=memo.at or None,
        error=_error(status, detail) if state == "Failed" else None,
        result=_result(status, memo) if state == "Done" else None,
    )


def current(found: Object) -> Operation | None:
    """What the operator is in the middle of."""
    status = found.get("status") or {}
    under_way = status.get("operation")
    generation = int((found["metadata"].get("generation")) or 0)
    if under_way is None and status.get("observedGeneration", 0) >= generation:
        return None
    operation = of_job(found, int((under_way or {}).get("generation") or generation))
    return None if operation.state in ("Done", "Failed") else operation


def _state(found: Object, status: Object, memo: memos.Memo) -> tuple[State, str]:
    seen = int(status.get("observedGeneration") or 0)
    refused = status.get("refused") or {}
    under_way = status.get("operation") or {}
    phase = status.get("phase")
    if int(refused.get("generation") or -1) == memo.generation:
        return "Failed", str(refused.get("message") or refused.get("reason"))
    if seen < memo.generation:
        return "Pending", "the operator has not seen it yet"
    if under_way and int(under_way.get("generation") or 0) <= memo.generation:
        step = str(under_way.get("message") or under_way.get("step") or "")
        return "Running", step
    if int(found["metadata"].get("generation") or 0) > memo.generation:
        return "Done", "the job has been changed again since"
    if memo.kind in ENDS:
        return ("Done", "") if phase in (ENDS[memo.kind], "Finished") else _else(status)
    if memo.kind == "Scale" and memo.wanted not in (None, status.get("parallelism")):
        return _else(status)
    if phase in ("Running", "Finished", "Suspended"):
        return "Done", ""
    return _else(status)


def _else(status: Object) -> tuple[State, str]:
    """Not where it should be: on its way, or stuck."""
    progressing: dict[str, Any] = next(
        (c for c in status.get("conditions") or () if c.get("type") == "Progressing"), {}
    )
    text = str(progressing.get("message") or status.get("diagnosis") or "")
    if status.get("phase") == "Failed":
        return "Failed", str((status.get("job") or {}).get("error") or text)
    if progressing.get("status") == "False" and progressing.get("reason") in (
        "PreflightFailed", "SlotsUnavailable", "SavepointFailed", "Refused",
    ):  # fmt: skip
        return "Failed", text
    return "Running", text


def _error(status: Object, text: str) -> OperationError:
    refused = status.get("refused") or {}
    code = str(refused.get("reason") or "FAILED")
    return OperationError(code=code, message=text or "it failed")


def _result(status: Object, memo: memos.Memo) -> OperationResult:
    latest = status.get("expected") or (status.get("checkpoints") or {}).get("latest")
    snapshot = None
    if memo.kind in ("Suspend", "Stop") and latest is not None:
        snapshot = snapshot_fact(latest)
    return OperationResult(snapshot=snapshot, parallelism=status.get("parallelism"))


def _kind(text: str) -> OperationKind:
    known: tuple[OperationKind, ...] = (
        "Savepoint", "Stop", "Upgrade", "Suspend", "Resume", "Scale", "Cancel", "Restart",
        "VerifySnapshot", "DeleteSnapshot", "Submit", "Restore",
    )  # fmt: skip
    return next((kind for kind in known if kind == text), "Upgrade")


def of_snapshot(found: Object) -> Operation:
    """The taking of a FlowSnapshot."""
    about, status = found["metadata"], found.get("status") or {}
    spec = found.get("spec") or {}
    phase = str(status.get("phase") or "Pending")
    states: dict[str, State] = {
        "Pending": "Pending", "InProgress": "Running", "Completed": "Done", "Failed": "Failed",
        "Abandoned": "Failed", "Deleting": "Done",
    }  # fmt: skip
    state = states.get(phase, "Running")
    error = None
    if state == "Failed":
        code = "SNAPSHOT_DAMAGED" if verifies(found) else "SAVEPOINT_FAILED"
        error = OperationError(code=code, message=str(status.get("error") or phase))
    name = status.get("jobName") or (spec.get("jobRef") or {}).get("name") or ""
    return Operation(
        id=f"{SNAPSHOT}.{about['namespace']}.{about['name']}",
        kind="VerifySnapshot" if verifies(found) else "Savepoint",
        job=JobRef(namespace=about["namespace"], name=name),
        state=state,
        progress=Progress(share=1.0 if state == "Done" else None),
        started_at=status.get("startedAt") or about.get("creationTimestamp"),
        ended_at=status.get("completedAt"),
        error=error,
        result=OperationResult(snapshot=snapshot_of(found)) if state == "Done" else None,
    )


def of_deletion(namespace: str, name: str, uid: str, found: Object | None) -> Operation:
    """The end of a FlowSnapshot. `found`: as it is now, if it is still there."""
    gone = found is None or found["metadata"].get("uid") != uid
    state: State = "Done" if gone else "Running"
    step, job = "", ""
    if found is not None and not gone:
        snapshot = snapshot_of(found)
        step = "a job needs it to go on" if snapshot.in_use else "its data is being deleted"
        job = str((found.get("status") or {}).get("jobName") or "")
    return Operation(
        id=f"{DELETION}.{namespace}.{name}.{uid}",
        kind="DeleteSnapshot",
        job=JobRef(namespace=namespace, name=job),
        state=state,
        progress=Progress(share=1.0 if gone else None, step=step),
        result=OperationResult() if gone else None,
    )
