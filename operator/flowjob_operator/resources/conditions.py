"""Conditions as Kubernetes knows them, for both kinds: what `kubectl wait`, Argo CD and kstatus look at.

Data only. When each is true is decided by the reconciler and documented in its reasons."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final

from pydantic import Field
from pydantic.config import JsonDict

from flowjob_operator.resources.fields import Sentence, Time, Word
from flowjob_operator.resources.model import Model


class ConditionType(Enum):
    """The first four are ours; kstatus defines the last two, which are absent or False when all is well."""

    READY = "Ready"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    CHECKPOINT_FRESH = "CheckpointFresh"
    IN_USE = "InUse"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Truth(Enum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One aspect of the object, with the reason for it."""

    type: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$", max_length=64)] = Field(
        description="Which aspect: Ready, Progressing, Degraded, CheckpointFresh, InUse, Reconciling, "
        "Stalled."
    )
    status: Truth = Field(description="Whether it is so.")
    reason: Word = Field(description="Why, in one word for programs.")
    message: Sentence = Field(default="", description="Why, in a sentence for people.")
    last_transition_time: Time = Field(description="Since when the status is what it is.")
    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="The generation of the spec that this is about."
    )


CONDITIONS_ARE_A_MAP: Final[JsonDict] = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
}
