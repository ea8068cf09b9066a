"""What a slot is told of its job: how to get it, what it must look like, where its snapshots go.

Part of the control plane's words (messages.py); it must not know who sends it."""

from __future__ import annotations

from typing import Any

import msgspec

from flowjob.runtime.env import StoreLocation


class EntrypointSource(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The job is imported: what flowjob.entrypoint.Entrypoint says. `directory` is the client's current one."""

    target: str
    args: dict[str, Any] = {}
    sys_path: list[str] = []
    directory: str | None = None


class PickledSource(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The job was defined interactively: cloudpickle bytes of the Job."""

    data: bytes
    sys_path: list[str] = []
    directory: str | None = None


JobSource = EntrypointSource | PickledSource


class JobDescription(msgspec.Struct, frozen=True, kw_only=True):
    """All a slot needs to rebuild the job and to see that it is the same one.

    planner  module with `compile_job`, `digest` and `job_graph_text`
    runner   `module:attribute` of the TaskRunner factory
    token    the secret that slots prove to each other to have, in the data plane; it never travels there
    run      options for the runner; msgpack-able
    max_parallelism  in place of the program's; None: what that says
    """

    name: str
    run_id: str
    source: JobSource
    parallelism: int
    digest: str
    explain: str
    token: str
    planner: str = "flowjob.plan"
    runner: str = "flowjob.runtime.slot_tasks:SlotTasks"
    run: dict[str, Any] = {}
    metrics_interval: float = 0.5
    checkpoints: CheckpointPlan | None = None
    max_parallelism: int | None = None


class CheckpointPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What slots must know of checkpointing; None in its place: the job takes no snapshots.

    location           the store; `root` below it is the job's own
    alignment_timeout  seconds after which an aligned barrier becomes an unaligned one; None: never
    spill_bytes        on disk per task while it aligns, instead of withholding credit; 0: withhold. Not used with an
                       alignment_timeout, which bounds the waiting itself
    exactly_once       False: barriers do not block, rows behind them may be in the snapshot too
    expires            seconds a snapshot may take
    inline_bytes       a task's state up to this size travels in its acknowledgement
    """

    location: StoreLocation
    root: str
    exactly_once: bool = True
    alignment_timeout: float | None = None
    spill_bytes: int = 0
    expires: float = 600.0
    inline_bytes: int = 16384
