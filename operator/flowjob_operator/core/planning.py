"""What an edit asks for: the spec to deploy, and whether that takes new pods, or can be done in place.

Compares what the *user* wrote then and now. A default that has changed since (an image of a newer chart) comes with the
next upgrade a user asks for, never by itself. Of a spec that was rolled back only the width is wanted. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from flowjob_operator.core.observed import SavedRevision
from flowjob_operator.core.settings import put, take
from flowjob_operator.core.turn import Turn
from flowjob_operator.resources.changes import Changes, FieldChange, changes
from flowjob_operator.resources.field_classes import CLASS_OF, FieldClass
from flowjob_operator.resources.flowjob_spec import FlowJobSpec

DEPLOYED: Final = frozenset(
    {
        FieldClass.MOVE,
        FieldClass.UPGRADE,
        FieldClass.TM_ROLL,
        FieldClass.RESCALE,
        FieldClass.LIVE,
        FieldClass.IMMUTABLE,
    }
)
"""Classes of fields that say what is deployed."""

REPLACING: Final = frozenset({FieldClass.MOVE, FieldClass.UPGRADE})
_WIDTH: Final = {path for path, kind in CLASS_OF.items() if kind is FieldClass.RESCALE}


@dataclass(frozen=True, slots=True)
class Wanted:
    """`written` and, with defaults, `spec` to deploy; `actions` that it takes, most thorough first; `changes` of what
    is deployed."""

    written: FlowJobSpec
    spec: FlowJobSpec
    actions: tuple[FieldClass, ...]
    changes: tuple[FieldChange, ...]
    refused: tuple[FieldChange, ...] = ()

    @property
    def replaces(self) -> bool:
        """The JobManager cannot stay."""
        return bool(REPLACING & set(self.actions))

    @property
    def moves(self) -> bool:
        return FieldClass.MOVE in self.actions

    @property
    def in_place(self) -> bool:
        return bool(self.actions) and not self.replaces


def wanted(
    deployed: SavedRevision,
    written: FlowJobSpec,
    effective: FlowJobSpec,
    max_parallelism: int | None = None,
) -> Wanted:
    """What the user has changed since `deployed`."""
    edits = changes(deployed.revision.written, written, max_parallelism=max_parallelism)
    edited = {change.path for change in edits.fields}
    patched = _patched(deployed.revision.spec, effective, edited)
    found = changes(deployed.revision.spec, patched)
    real = Changes(tuple(change for change in found.fields if change.kind in DEPLOYED))
    # A JobManager that is replaced anyway takes all of today's defaults along.
    spec = effective if REPLACING & set(real.actions) else patched
    return Wanted(written, spec, real.actions, real.fields, edits.refused)


def wanted_now(turn: Turn, deployed: SavedRevision) -> Wanted:
    """The same, of the job as it is."""
    written, effective = goal(turn, deployed)
    return wanted(deployed, written, effective, turn.status.max_parallelism)


def goal(turn: Turn, deployed: SavedRevision) -> tuple[FlowJobSpec, FlowJobSpec]:
    """What is to be deployed, as written and with defaults: the spec; or what a rollback has brought, at the spec's
    width, which an autoscaler writes that knows of no rollback."""
    written, effective = turn.seen.job.spec, turn.spec
    if not was_rolled_back(turn):
        return written, effective
    revision = deployed.revision
    return _patched(revision.written, written, _WIDTH), _patched(revision.spec, effective, _WIDTH)


def was_rolled_back(turn: Turn) -> bool:
    """The spec is what a rollback went back from, whatever its width is now."""
    failed = turn.saved(turn.revisions.failed)
    return failed is not None and same_but_width(failed.revision.written, turn.seen.job.spec)


def _patched(deployed: FlowJobSpec, effective: FlowJobSpec, edited: set[str]) -> FlowJobSpec:
    """What is deployed, with what was edited."""
    wire, old = effective.wire(), deployed.wire()
    for path, kind in CLASS_OF.items():
        if kind in DEPLOYED and path not in edited:
            put(wire, path, take(old, path))
    return FlowJobSpec.of(wire)


def same_deployment(one: FlowJobSpec, other: FlowJobSpec) -> bool:
    """Both specs ask for the same pods and settings."""
    return not any(change.kind in DEPLOYED for change in changes(one, other).fields)


def same_but_width(one: FlowJobSpec, other: FlowJobSpec) -> bool:
    """The same, except for what rescales in place."""
    kinds = DEPLOYED - {FieldClass.RESCALE}
    return not any(change.kind in kinds for change in changes(one, other).fields)


def parallelism(spec: FlowJobSpec) -> int:
    return spec.job.parallelism or 1


def task_managers(slots_needed: int, spec: FlowJobSpec) -> int:
    """So many pods have that many slots."""
    return max(1, math.ceil(slots_needed / (spec.task_manager.slots or 1)))


def slots_at(new_parallelism: int, known: int, known_parallelism: int) -> int:
    """How many slots a job needs at another parallelism, when it needs `known` now. Operators that say their own
    parallelism make this too many; the JobManager says it exactly, once it runs."""
    if known <= 0 or known_parallelism <= 0:
        return new_parallelism
    return max(new_parallelism, math.ceil(known * new_parallelism / known_parallelism))
