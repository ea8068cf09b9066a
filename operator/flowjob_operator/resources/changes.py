"""Compare two specs of a FlowJob: what has changed, and what kind of action that asks for.

Pure: specs in, differences out. Whether the action can be taken now, and its steps, is the reconciler's business.
Values are compared by what they mean: `60s` and `1m`, `1` and `1000m`, absent fields and empty ones are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from flowjob_operator.resources.field_classes import CLASS_OF, FieldClass
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.job_spec import WantedState
from flowjob_operator.resources.model import comparable, leaves

# What an action does anyway: a new attempt has the new parallelism, a new JobManager has all settings.
_COVERS: Final = {
    FieldClass.TM_ROLL: {FieldClass.RESCALE},
    FieldClass.UPGRADE: {FieldClass.TM_ROLL, FieldClass.RESCALE, FieldClass.LIVE},
    FieldClass.MOVE: {
        FieldClass.UPGRADE,
        FieldClass.TM_ROLL,
        FieldClass.RESCALE,
        FieldClass.LIVE,
    },
}
_LEAVES: Final = tuple(leaves(FlowJobSpec))
_ACTIONS: Final = (
    FieldClass.MOVE,
    FieldClass.UPGRADE,
    FieldClass.TM_ROLL,
    FieldClass.RESCALE,
    FieldClass.LIVE,
)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """`old` and `new` as they were written; None: absent."""

    path: str
    kind: FieldClass
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Changes:
    """In the order in which the fields are declared."""

    fields: tuple[FieldChange, ...] = ()

    def of(self, kind: FieldClass) -> tuple[FieldChange, ...]:
        return tuple(change for change in self.fields if change.kind is kind)

    @property
    def actions(self) -> tuple[FieldClass, ...]:
        """What must be done to a job that runs, most thorough first, without what that does anyway: nothing, one of
        MOVE and UPGRADE alone, or TM_ROLL or RESCALE and perhaps LIVE."""
        asked = {change.kind for change in self.fields}
        covered = set().union(*(_COVERS.get(kind, set()) for kind in asked))
        return tuple(kind for kind in _ACTIONS if kind in asked and kind not in covered)

    @property
    def refused(self) -> tuple[FieldChange, ...]:
        """Must not change at all: the API server refuses them, but an object may be deleted and made again."""
        return self.of(FieldClass.IMMUTABLE)

    @property
    def asked_for(self) -> tuple[FieldChange, ...]:
        """Nonces with a new number: each asks for one thing once. A nonce that is gone asks for nothing."""
        return tuple(change for change in self.of(FieldClass.NONCE) if change.new is not None)

    @property
    def wanted_state(self) -> WantedState | None:
        """The state that is wanted now, if it is another one."""
        for change in self.of(FieldClass.STATE):
            state: WantedState = change.new
            return state
        return None


def changes(old: FlowJobSpec, new: FlowJobSpec, *, max_parallelism: int | None = None) -> Changes:
    """What has changed from `old` to `new`.

    max_parallelism   what the job runs with, if it has ever started: a field that is absent means this"""
    found = []
    for leaf in _LEAVES:
        before, after = leaf.value(old), leaf.value(new)
        kind = CLASS_OF[leaf.path]
        if kind is FieldClass.IMMUTABLE:
            before, after = before or max_parallelism, after or max_parallelism
            if before is None:  # it has never started: nothing is divided by it yet
                continue
        if before is not after and comparable(before, leaf.annotation) != comparable(
            after, leaf.annotation
        ):
            found.append(FieldChange(leaf.path, kind, before, after))
    return Changes(tuple(found))
