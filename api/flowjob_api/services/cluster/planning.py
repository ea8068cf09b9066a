"""What an upgrade would do, by what the API server makes of it in a dry run.

Pure. Whether the new program accepts the state is tried by the operator's pre-flight, before anything is stopped; that
needs a pod, so a dry run only says that it will."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from flowjob.cluster.job_details import Graph
from flowjob_api.schemas.actions import PlannedChange, StateMove, UpgradePlan
from flowjob_api.services.cluster.kubernetes import Object
from flowjob_operator.resources.changes import changes
from flowjob_operator.resources.field_classes import FieldClass
from flowjob_operator.resources.flowjob_spec import FlowJobSpec

WORDS: Final = {
    FieldClass.MOVE: "Move",
    FieldClass.UPGRADE: "Upgrade",
    FieldClass.TM_ROLL: "RollTaskManagers",
    FieldClass.RESCALE: "Rescale",
    FieldClass.LIVE: "Settings",
}
LONGEST: Final = 200


def plan_of(found: Object, made: Object, kept: list[str]) -> UpgradePlan:
    """From what is to what would be. `kept`: paths that were to be removed, and which others set."""
    status = found.get("status") or {}
    try:
        old = FlowJobSpec.model_validate(found.get("spec") or {})
        new = FlowJobSpec.model_validate(made.get("spec") or {})
    except ValidationError as error:
        return UpgradePlan(
            accepted=False, problems=[f"the spec cannot be read: {error.errors()[0]['msg']}"]
        )
    differing = changes(old, new, max_parallelism=status.get("maxParallelism"))
    problems = [f"{path} is set by another manager: remove it there" for path in kept]
    problems += [f"{one.path} cannot be changed" for one in differing.refused]
    actions = [WORDS[kind] for kind in differing.actions]
    return UpgradePlan(
        accepted=not problems,
        actions=actions,
        changes=[
            PlannedChange(
                field=c.path, kind=c.kind.value.replace(" ", ""), old=_text(c.old), new=_text(c.new)
            )
            for c in differing.fields
        ],
        restore_from=_restore(new, actions, status),
        task_managers=_task_managers(new, status),
        problems=problems,
        notes=_notes(new, actions, bool(differing.fields)),
    )


def moves_of(graph: Graph, actions: list[str], parallelism: int | None) -> list[StateMove]:
    """Of the state that the job has now, by operator; bytes where it is the only one of its vertex that has any."""
    moves = []
    for vertex in graph.vertices:
        holders = [operator for operator in vertex.operators if operator.uid is not None]
        for operator in holders:
            after = parallelism or vertex.parallelism
            if "Upgrade" in actions or "Move" in actions:
                outcome, text = "Unknown", "tried against the new program before the job is stopped"
            elif "Rescale" in actions and after != vertex.parallelism:
                outcome, text = "Redistributed", f"{vertex.parallelism} -> {after} subtasks"
            else:
                outcome, text = "Kept", ""
            moves.append(
                StateMove.model_validate(
                    {
                        "operator": operator.name,
                        "uid": operator.uid,
                        "outcome": outcome,
                        "text": text,
                        "bytes": vertex.figures.state_bytes if len(holders) == 1 else None,
                        "subtasks_before": vertex.parallelism,
                        "subtasks_after": None if outcome == "Unknown" else after,
                    }
                )
            )
    return moves


def refused_plan(detail: str, errors: list[str]) -> UpgradePlan:
    """The API server does not take it."""
    return UpgradePlan(accepted=False, problems=errors or [detail])


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = str(getattr(value, "value", value))
    return text[:LONGEST]


def _task_managers(new: FlowJobSpec, status: Object) -> int:
    """By the spec; what it leaves open is as the operator has found it."""

    def in_force(path: str) -> int:
        found = (status.get("effective") or {}).get(path) or {}
        return int(found.get("value") or 1)

    parallelism = new.job.parallelism or in_force("job.parallelism")
    return -(-parallelism // (new.task_manager.slots or in_force("taskManager.slots")))


def _restore(new: FlowJobSpec, actions: list[str], status: Object) -> str | None:
    expected = (status.get("expected") or {}).get("path")
    if "Upgrade" not in actions and "Move" not in actions:
        return str(expected) if actions and expected else None
    match new.upgrade.mode.value:
        case "Stateless":
            return None
        case "Savepoint":
            return "a savepoint that is taken when the job stops"
    return str(expected) if expected else None


def _notes(new: FlowJobSpec, actions: list[str], differs: bool) -> list[str]:
    if not differs:
        return ["nothing would change"]
    notes = []
    if "Upgrade" in actions or "Move" in actions:
        skips = new.upgrade.preflight is not None and new.upgrade.preflight.value == "Skip"
        if skips:
            notes.append(
                "the new revision is not tried before the job is stopped: upgrade.preflight is Skip"
            )
        else:
            notes.append(
                "before the job is stopped the new revision is tried against its newest checkpoint; if its state does "
                "not fit, the job goes on as it is"
            )
        if new.upgrade.mode.value == "Stateless":
            notes.append("the job begins with nothing: upgrade.mode is Stateless")
    elif "Rescale" in actions or "RollTaskManagers" in actions:
        notes.append("a checkpoint is taken, and all state is dealt out anew by key group")
    elif actions:
        notes.append("no task is restarted")
    return notes
