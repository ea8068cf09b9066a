"""What can be asked of a job of this machine besides what any JobManager can be asked (control_api.py), as data.

Who runs `flowjob run` has what an operator has in a cluster: it can stop a run and begin another one. Never sent over
the internal API. Fields are only ever added; it must not know who does it."""

from __future__ import annotations

from typing import Literal

import msgspec

from flowjob.cluster.control_api import Request
from flowjob.cluster.job_figures import Data
from flowjob.cluster.state_moves import StateMove


class SuspendJob(Data, frozen=True, kw_only=True, rename="camel", tag="Suspend", tag_field="kind"):
    """Stops with a savepoint; whoever serves the job stays, and it can be resumed."""

    name: str
    drain: bool = False


class ResumeJob(Data, frozen=True, kw_only=True, rename="camel", tag="Resume", tag_field="kind"):
    """A new run of a suspended job, from the savepoint that it was stopped with."""

    parallelism: int | None = None


class UpgradeJob(Data, frozen=True, kw_only=True, rename="camel", tag="Upgrade", tag_field="kind"):
    """Tries the program as it is in its file now, then stops the job with the savepoint `name`, and begins a new run
    from that. What is left out stays.

    args, config        by name, over those there are; None removes one
    checkpoints         as in a job file
    mode                Savepoint; LastState: stops at once, and goes on from the newest checkpoint; Stateless: begins
                        with nothing
    allow_non_restored  state without a place in the program may be left behind
    """

    name: str
    args: dict[str, str | None] = msgspec.field(default_factory=dict)
    config: dict[str, str | int | None] = msgspec.field(default_factory=dict)
    checkpoints: dict[str, str | int] = msgspec.field(default_factory=dict)
    parallelism: int | None = None
    mode: Literal["Savepoint", "LastState", "Stateless"] = "Savepoint"
    allow_non_restored: bool = False


class RestoreJob(Data, frozen=True, kw_only=True, rename="camel", tag="Restore", tag_field="kind"):
    """Stops the job at once, and begins a new run from a snapshot: by the name of a savepoint, or by its path."""

    name: str | None = None
    path: str | None = None


class VerifySnapshot(
    Data, frozen=True, kw_only=True, rename="camel", tag="VerifySnapshot", tag_field="kind"
):
    """Reads every byte of a snapshot of the job: the name of a savepoint, or the number of a checkpoint."""

    name: str


class DeleteSnapshot(
    Data, frozen=True, kw_only=True, rename="camel", tag="DeleteSnapshot", tag_field="kind"
):
    """Deletes a savepoint of the job. One that it would go on from stays, and so do checkpoints."""

    name: str


LocalRequest = SuspendJob | ResumeJob | RestoreJob | UpgradeJob | VerifySnapshot | DeleteSnapshot
AnyRequest = Request | LocalRequest


class FieldChange(Data, frozen=True, kw_only=True, rename="camel"):
    """`kind`: Rescale, Upgrade or Settings."""

    field: str
    kind: str
    old: str | None = None
    new: str | None = None


class PlannedUpgrade(Data, frozen=True, kw_only=True, rename="camel"):
    """What an upgrade would do; nothing was changed. `problems`: why it would not be begun."""

    accepted: bool
    actions: list[str] = msgspec.field(default_factory=list)
    changes: list[FieldChange] = msgspec.field(default_factory=list)
    restore_from: str | None = None
    slots: int = 0
    state: list[StateMove] = msgspec.field(default_factory=list)
    problems: list[str] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)
    error_code: str | None = None
