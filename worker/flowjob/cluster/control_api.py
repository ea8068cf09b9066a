"""The JobManager's internal API, as data: what the operator and the service ask of it, and what it answers.

HTTP with JSON on the API port, mutual TLS, certificates of operator, service and TaskManagers only:
`GET /internal/v1/status` answers JobManagerView; `PUT /internal/v1/operations/<id>` takes an Operation, again and again
without harm; `GET /internal/v1/operations/<id>` answers OperationView. A JobManager that does not lead answers 421 with
NotLeader. Fields are only ever added: an operator understands JobManagers of two releases before."""

from __future__ import annotations

from typing import Literal

import msgspec


class _Data(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class Snapshot(_Data, frozen=True, kw_only=True, rename="camel"):
    """A complete one, as the log has it. Times as RFC 3339 in UTC."""

    type: Literal["Savepoint", "Checkpoint"]
    id: int
    path: str
    checksum: str = ""
    completed_at: str = ""
    size: int = 0


class Checkpointing(_Data, frozen=True, kw_only=True, rename="camel"):
    latest: Snapshot | None = None
    completed: int = 0
    """By this revision"""
    failed_in_a_row: int = 0
    error: str | None = None
    """Why the last one failed"""
    under_way: int = 0


class Slots(_Data, frozen=True, kw_only=True, rename="camel"):
    needed: int = 0
    offered: int = 0
    task_managers: int = 0


class JobManagerView(_Data, frozen=True, kw_only=True, rename="camel"):
    """What a JobManager that leads says of its job."""

    protocol: int = 1
    version: str = ""
    uid: str
    revision: int
    leader: int = 0
    """The generation it has claimed"""
    state: Literal[
        "Waiting", "Starting", "Deploying", "Running", "Restarting", "Stopping",
        "Suspended", "Finished", "Cancelled", "Failed",
    ]  # fmt: skip
    """Suspended: it stopped with a savepoint, `final`"""
    attempt: int = 0
    restarts: int = 0
    """After failures, since this revision started"""
    parallelism: int = 0
    max_parallelism: int = 0
    started_at: str | None = None
    ended_at: str | None = None
    error: str | None = None
    """Why it failed, restarted last, or refused to start: one sentence"""
    error_code: str | None = None
    slots: Slots = Slots()
    checkpoints: Checkpointing = Checkpointing()
    final: Snapshot | None = None
    """The savepoint the job ended with"""
    max_rows_behind: int | None = None


class NotLeader(_Data, frozen=True, kw_only=True, rename="camel"):
    leader: str | None = None
    """host:port of the one that leads, as the log says; None: nobody does"""


class Problem(_Data, frozen=True, kw_only=True, rename="camel"):
    """Why a request was not taken; docs/jobmanager-api.md lists the codes."""

    code: str
    error: str


class TakeSavepoint(
    _Data, frozen=True, kw_only=True, rename="camel", tag="Savepoint", tag_field="kind"
):
    name: str
    """Its directory below savepoints/: made of the object's uid, so that it is taken once"""


class TakeCheckpoint(
    _Data, frozen=True, kw_only=True, rename="camel", tag="Checkpoint", tag_field="kind"
):
    pass


class StopJob(_Data, frozen=True, kw_only=True, rename="camel", tag="Stop", tag_field="kind"):
    """With a savepoint. The JobManager stays, and answers with state Suspended."""

    name: str
    drain: bool = False
    timeout: str = "10m"


class CancelJob(_Data, frozen=True, kw_only=True, rename="camel", tag="Cancel", tag_field="kind"):
    """At once, without a snapshot: what was completed stays. `discard`: checkpoints are deleted, too."""

    discard: bool = False


class Rescale(_Data, frozen=True, kw_only=True, rename="camel", tag="Rescale", tag_field="kind"):
    """A checkpoint, and a new attempt with another parallelism, in place. `task_managers` may go on by their name's
    ordinal: slots are taken from those below it only."""

    parallelism: int
    task_managers: int


class ChangeSettings(
    _Data, frozen=True, kw_only=True, rename="camel", tag="Settings", tag_field="kind"
):
    """Of checkpoints and restarts, while the job runs: all of them, as in the job file."""

    checkpoints: dict[str, str | int] = {}
    restarts: dict[str, str | int] = {}


class NewAttempt(
    _Data, frozen=True, kw_only=True, rename="camel", tag="NewAttempt", tag_field="kind"
):
    """A checkpoint, if one can be had in time, and a restart of all tasks, not counted as a failure."""

    reason: str


Request = (
    TakeSavepoint | TakeCheckpoint | StopJob | CancelJob | Rescale | ChangeSettings | NewAttempt
)


class OperationView(_Data, frozen=True, kw_only=True, rename="camel"):
    """What became of a request. JobManagers forget operations when they die, but not what these brought: a savepoint
    under the same name is found in the log."""

    id: str
    state: Literal["UnderWay", "Done", "Failed"]
    error: str | None = None
    error_code: str | None = None
    """docs/jobmanager-api.md lists them"""
    snapshot: Snapshot | None = None
