"""What is asked of jobs: one body per action, and what a dry run answers.

Limits are those of the engine and of the FlowJob; what only the job can know is refused by it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from flowjob_api.schemas.model import Answer, Wish, example

SnapshotName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length=63,
        description="a-z, 0-9 and -",
        examples=["before-upgrade"],
    ),
]
Parallelism = Annotated[int, Field(ge=1, le=32_768, examples=[4])]
Duration = Annotated[
    str, Field(pattern=r"^[0-9]{1,9}(ms|s|m|h|d)$", max_length=12, examples=["10m"])
]
ArgumentValue = int | str


class SavepointWish(Wish):
    """Takes a savepoint; the job goes on."""

    model_config = example(name="before-upgrade")
    name: SnapshotName | None = None
    """Default: made of the time."""


class StopWish(Wish):
    """Stops the job with a savepoint, to go on from it."""

    model_config = example(drain=False, timeout="10m")
    name: SnapshotName | None = None
    """Of the savepoint, where the job is local."""
    drain: bool = False
    """For good: event time runs to its end first, and windows fire."""
    timeout: Duration | None = None
    """Past it the stop is called off, and the job goes on. Default: 10m."""


class SuspendWish(Wish):
    """Stops the job with a savepoint; `resume` has it go on."""

    model_config = example(drain=False)
    drain: bool = False


class ResumeWish(Wish):
    """Has a suspended job go on from where it stopped."""

    model_config = example()
    parallelism: Parallelism | None = None
    """Another one than before."""


class ScaleWish(Wish):
    """A checkpoint, and all tasks go on with another parallelism."""

    model_config = example(parallelism=4)
    parallelism: Parallelism


class CancelWish(Wish):
    """Stops the job at once and for good. What is in its storage stays."""

    model_config = example()


class RestartWish(Wish):
    """A checkpoint, and all tasks anew."""

    model_config = example(reason="new credentials")
    reason: Annotated[str, Field(max_length=200)] = "asked for"


class RestoreWish(Wish):
    """Has the job go back to a snapshot: what it has done since is given up. Exactly one of the three is given."""

    model_config = example(snapshot="before-upgrade")
    snapshot: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """By name: a FlowSnapshot, or a savepoint of a local job."""
    path: (
        Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f]+$")] | None
    ) = None
    """Where it lies."""
    job: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """Another FlowJob of the namespace: its newest one."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(one is not None for one in (self.snapshot, self.path, self.job)) != 1:
            raise ValueError("give exactly one of snapshot, path and job")
        return self


class UpgradeWish(Wish):
    """Has the job go on as another program, or the same with other settings. What is left out stays."""

    model_config = example(image="registry.example/orders:8", args={"window": "5m"}, parallelism=8)
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\s]+$")] | None = None
    script: Annotated[str, Field(min_length=1, max_length=128 * 1024)] | None = None
    """The program itself, in Python, instead of what it was."""
    args: dict[str, ArgumentValue | None] | None = None
    """By name, over those there are; null removes one."""
    config: dict[str, ArgumentValue | None] | None = None
    """Settings of the engine, likewise."""
    parallelism: Parallelism | None = None
    checkpoints: dict[str, Any] | None = None
    """Fields of `spec.checkpoints`, such as interval and retained."""
    mode: Literal["Savepoint", "LastState", "Stateless"] | None = None
    """What state the job goes on with. Default: as it was."""
    allow_non_restored: bool | None = None
    """Whether state without a place in the program may be left behind."""


class VerifyWish(Wish):
    """Reads every byte of a snapshot and says whether it is whole."""

    model_config = example()


class ObjectMeta(Wish):
    """Of an object of Kubernetes."""

    name: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=45)]
    namespace: str | None = None
    """If given, that of the path."""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class FlowJobWish(Wish):
    """A FlowJob, as `kubectl apply` takes it."""

    model_config = example(
        apiVersion="flowjob.dev/v1beta1", kind="FlowJob", metadata={"name": "orders"},
        spec={"image": "registry.example/orders:7", "job": {"entrypoint": "orders:job", "parallelism": 2},
              "checkpoints": {"storage": "s3://bucket/orders"}},
    )  # fmt: skip
    api_version: Literal["flowjob.dev/v1beta1"] = "flowjob.dev/v1beta1"
    kind: Literal["FlowJob"] = "FlowJob"
    metadata: ObjectMeta
    spec: dict[str, Any]


class PlannedChange(Answer):
    """A field that would differ."""

    field: str
    kind: str
    """What an edit of it asks for: docs/operator.md lists the classes."""
    old: str | None = None
    new: str | None = None


class StatePart(Answer):
    """One state of an operator, by the name that the program or the engine gives it."""

    name: str
    rows: int = 0
    bytes: int = 0


class StateMove(Answer):
    """What would become of the state of one operator."""

    operator: str
    uid: str | None = None
    outcome: Literal["Kept", "Redistributed", "Dropped", "New", "Incompatible", "Unknown"]
    """Redistributed: dealt out anew by key group, to another number of subtasks. Dropped: it has no place in the
    program. New: it starts empty. Incompatible: the program cannot read it. Unknown: the new program is tried before
    the job is stopped."""
    text: str = ""
    rows: int | None = None
    """In the newest snapshot; null: nobody has looked."""
    bytes: int | None = None
    subtasks_before: int | None = None
    subtasks_after: int | None = None
    states: list[StatePart] = []


class UpgradePlan(Answer):
    """What an upgrade would do. Nothing was changed."""

    model_config = example(
        accepted=True, actions=["Upgrade"], restoreFrom="a savepoint", taskManagers=4,
        changes=[{"field": "image", "kind": "Upgrade", "old": "orders:7", "new": "orders:8"}],
        state=[{"operator": "count", "uid": "count", "outcome": "Redistributed", "text": "1,200 rows of state",
                "rows": 1200, "bytes": 48_000, "subtasksBefore": 2, "subtasksAfter": 4,
                "states": [{"name": "seen", "rows": 1200, "bytes": 48_000}]}],
        problems=[], notes=["the new image is tried before the job is stopped"],
    )  # fmt: skip
    accepted: bool
    actions: list[str] = []
    """What would be done, in order."""
    changes: list[PlannedChange] = []
    restore_from: str | None = None
    task_managers: int | None = None
    state: list[StateMove] = []
    problems: list[str] = []
    """What stands against it."""
    notes: list[str] = []
