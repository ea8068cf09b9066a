"""What an upgrade would do, by what the API server makes of it in a dry run.

Pure. Whether the new program accepts the state is tried by the operator's pre-flight, before anything is stopped; that
needs a pod, so a dry run only says that it will."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from flowjob_api.schemas.actions import PlannedChange, UpgradePlan
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
        problems=problems,
        notes=_notes(new, actions, bool(differing.fields)),
    )


def refused_plan(detail: str, errors: list[str]) -> UpgradePlan:
    """The API server does not take it."""
    return UpgradePlan(accepted=False, problems=errors or [detail])


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = str(getattr(value, "value", value))
    return text[:LONGEST]


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
