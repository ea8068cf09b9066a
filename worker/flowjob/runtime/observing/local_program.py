"""What a job of this machine runs now, and what it would run after an upgrade: program, arguments, settings.

Trying a program happens in a process of its own, as in a cluster's pre-flight: it may hang or crash, and nothing of the
running job is touched. It must not know runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec.structs

from flowjob.checkpointing import Checkpoints
from flowjob.cluster.job_file import JobFile, Restore, Storage
from flowjob.cluster.job_file import Program as ProgramOfFile
from flowjob.cluster.local_requests import FieldChange, PlannedUpgrade, UpgradeJob
from flowjob.cluster.planning import Planned, Question, plan_in_child
from flowjob.cluster.requests import run_options
from flowjob.cluster.settings import checkpoints_of
from flowjob.entrypoint import Entrypoint, load_anew
from flowjob.errors import PlanError
from flowjob.job import Job
from flowjob.runtime.checkpoint.manifest_io import encode_manifest
from flowjob.runtime.job_description import EntrypointSource, JobSource
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint

TRY_WITHIN: Final = 120.0
"""Seconds for the import of a program and its plan."""

_NOTES: Final = {
    "Savepoint": "the job stops with a savepoint, and goes on from it; if it cannot, it is suspended there, and "
    "`flowjob resume` has it go on as it was",
    "LastState": "the job stops at once, and repeats what came behind its newest checkpoint",
    "Stateless": "the job begins with nothing: mode is Stateless",
}


@dataclass(frozen=True, slots=True)
class Program:
    """checkpoints  None: as the job says; False: none
    config       what was said of the engine, as in a job file
    run          what workers are told, whatever `config` says besides
    """

    job: Job
    source: JobSource
    parallelism: int
    checkpoints: Checkpoints | Literal[False] | None
    run: dict[str, Any]
    config: dict[str, str | int] = dataclasses.field(default_factory=dict)

    @property
    def kept(self) -> Checkpoints | None:
        """How checkpoints are taken; None: they are not."""
        return (self.job.checkpoints if self.checkpoints is None else self.checkpoints) or None

    @property
    def options(self) -> dict[str, Any]:
        """What workers are told. Raises PlanError."""
        return {**self.run, **run_options(self.config)}


def upgraded(program: Program, wish: UpgradeJob) -> Program:
    """Imports the program anew. Blocking; raises PlanError and its kin."""
    source = _source(program, wish)
    job = program.job
    if isinstance(source, EntrypointSource):
        job = load_anew(Entrypoint(source.target, source.args, tuple(source.sys_path)))
        if job.name != program.job.name:
            raise PlanError(
                f"the job is called `{job.name}` now, and was `{program.job.name}`: its snapshots lie under its name. "
                "Give it the name that it had, or start it by itself: flowjob run … --from PATH"
            )
    found = dataclasses.replace(
        program,
        job=job,
        source=source,
        parallelism=wish.parallelism or program.parallelism,
        config=_merged(program.config, wish.config),
    )
    if wish.checkpoints:
        found = dataclasses.replace(found, checkpoints=_checkpoints(found, wish))
    return found


def _source(program: Program, wish: UpgradeJob) -> JobSource:
    source = program.source
    if isinstance(source, EntrypointSource):
        return msgspec.structs.replace(source, args=_merged(source.args, wish.args))
    if wish.args:
        raise PlanError(
            "the job has no arguments: it was made in Python, and not started from a file by `flowjob run`"
        )
    return source


def _checkpoints(program: Program, wish: UpgradeJob) -> Checkpoints:
    if program.kept is None:
        raise PlanError("the job keeps no checkpoints (--no-checkpoints): there is nothing to set")
    return checkpoints_of(wish.checkpoints, program.kept)


def tried(
    program: Program, wish: UpgradeJob, point: RestorePoint | None, digest: str
) -> PlannedUpgrade:
    """What an upgrade would do. Blocking; whatever is wrong is in the answer. `point`: the newest snapshot; `digest`:
    of the plan that runs."""
    try:
        source = _source(program, wish)
        config = _merged(program.config, wish.config)
        run_options(config)
        if wish.checkpoints:
            _checkpoints(program, wish)
    except PlanError as error:
        return PlannedUpgrade(accepted=False, problems=[str(error)], error_code=error.code)
    stateless = wish.mode == "Stateless"
    manifest = None if point is None or stateless else encode_manifest(point.manifest)
    planned = Planned()
    if isinstance(source, EntrypointSource):
        file = _file_of(program, wish, config)
        planned = plan_in_child(
            Question(
                file=file,
                target=source.target,
                args={name: str(value) for name, value in source.args.items()},
                sys_path=tuple(source.sys_path),
                manifest=manifest,
            ),
            TRY_WITHIN,
        )
    changes = list(_changes(program, wish, source))
    if planned.digest and planned.digest != digest:
        changes.append(
            FieldChange(field="program", kind="Upgrade", old=digest[:12], new=planned.digest[:12])
        )
    return PlannedUpgrade(
        accepted=planned.problem is None,
        actions=["Upgrade"],
        changes=changes,
        restore_from=_restored_from(wish, point),
        slots=planned.parallelism or wish.parallelism or program.parallelism,
        state=planned.moves,
        problems=[] if planned.problem is None else [planned.problem],
        notes=[_NOTES[wish.mode], *_unchanged(changes)],
        error_code=planned.error_code,
    )


def _file_of(program: Program, wish: UpgradeJob, config: dict[str, Any]) -> JobFile:
    """What a pod would be told: it is only planned by it."""
    kept = program.kept
    return JobFile(
        namespace="local",
        name=program.job.name,
        uid="local",
        revision=0,
        run="plan",
        program=ProgramOfFile(),
        parallelism=wish.parallelism or program.parallelism,
        storage=None if kept is None else Storage(location=str(kept.location or "")),
        checkpoints=wish.checkpoints,
        config=config,
        restore=Restore(allow_non_restored=wish.allow_non_restored),
    )


def _restored_from(wish: UpgradeJob, point: RestorePoint | None) -> str | None:
    match wish.mode:
        case "Savepoint":
            return "a savepoint that is taken when the job stops"
        case "LastState" if point is not None:
            return point.place
    return None


def _changes(program: Program, wish: UpgradeJob, source: JobSource) -> Iterator[FieldChange]:
    if isinstance(source, EntrypointSource) and isinstance(program.source, EntrypointSource):
        yield from _differing("args", program.source.args, source.args)
    yield from _differing("config", program.config, _merged(program.config, wish.config))
    for name, value in wish.checkpoints.items():
        yield FieldChange(field=f"checkpoints.{name}", kind="Settings", new=str(value))
    if wish.parallelism not in (None, program.parallelism):
        old, new = str(program.parallelism), str(wish.parallelism)
        yield FieldChange(field="parallelism", kind="Rescale", old=old, new=new)


def _differing(where: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[FieldChange]:
    for name in sorted({*old, *new}):
        before, after = (None if name not in of else str(of[name]) for of in (old, new))
        if before != after:
            yield FieldChange(field=f"{where}.{name}", kind="Upgrade", old=before, new=after)


def _unchanged(changes: list[FieldChange]) -> Iterator[str]:
    if not changes:
        yield "its plan is the same; what functions do may differ all the same, so it would be started anew"


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """None removes a name."""
    return {name: value for name, value in {**old, **new}.items() if value is not None}
