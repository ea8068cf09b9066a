"""Tries a revision in a pod of its own, before anything that runs is stopped: code, storage, plan, the newest state.

It keeps the artifact and changes nothing else. Each step that fails becomes a sentence; steps that do not depend on it
are tried all the same, so that one run tells all there is. It must not know where the answer goes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import msgspec.structs

from flowjob.cluster.artifact_rules import rules_of
from flowjob.cluster.artifacts import entrypoint_of, keep, verify
from flowjob.cluster.job_file import JobFile
from flowjob.cluster.places import job_paths, lives_of, store_of
from flowjob.cluster.planning import Question, plan_in_child
from flowjob.cluster.preflight_answer import PreflightAnswer
from flowjob.core.beginning import FromLog, FromPlace, Mode, Prior, Refused, Wish
from flowjob.entrypoint import Entrypoint
from flowjob.errors import FlowjobError
from flowjob.runtime.checkpoint.manifest_io import encode_manifest
from flowjob.runtime.env import Env
from flowjob.runtime.jobmanager.cluster_beginning import as_error, decide
from flowjob.runtime.jobmanager.continuing import elsewhere, is_run
from flowjob.runtime.jobmanager.request import StartFrom
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint, SnapshotStore
from flowjob.runtime.real.env import real_env
from flowjob.runtime.storage.conditional_create import prove_conditional_create

PLAN_WITHIN = 240.0
"""Seconds for the import of the program and its plan."""


@dataclass(slots=True)
class _Findings:
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error_code: str | None = None

    def wrong(self, text: str, code: str | None) -> None:
        self.problems.append(text)
        self.error_code = self.error_code or code


def preflight(file: JobFile, directory: Path, plan_within: float = PLAN_WITHIN) -> PreflightAnswer:
    """The answer, whatever is wrong. `directory`: scratch space; what is imported is left there."""
    found = _Findings()
    file, entrypoint, digest = _code(file, directory, found)
    point = _state(file, directory, found)
    answer = PreflightAnswer(
        accepted=False,
        digest=digest,
        artifact=file.program.artifact if digest else None,
        restore_from=None if point is None else _path(point),
    )
    if entrypoint is not None:
        question = Question(
            file=file,
            target=entrypoint.target,
            args={k: str(v) for k, v in entrypoint.args.items()},
            sys_path=entrypoint.sys_path,
            manifest=None if point is None else encode_manifest(point.manifest),
        )
        planned = plan_in_child(question, plan_within)
        if planned.problem is not None:
            found.wrong(planned.problem, planned.error_code)
        found.notes += planned.restored
        answer = msgspec.structs.replace(
            answer,
            plan=planned.digest,
            max_parallelism=planned.max_parallelism,
            parallelism=planned.parallelism,
            slots=planned.slots,
            state=tuple(planned.moves),
        )
    return msgspec.structs.replace(
        answer,
        accepted=not found.problems,
        problems=tuple(found.problems),
        notes=tuple(found.notes),
        error_code=found.error_code,
    )


def _code(
    file: JobFile, directory: Path, found: _Findings
) -> tuple[JobFile, Entrypoint | None, str]:
    """The job file as pods will get it, what they import, and the digest of that."""
    program, digest = file.program, ""
    try:
        rules_of(file.config)
        if program.artifact is not None:
            fetched = directory / "fetched"
            fetched.mkdir(parents=True, exist_ok=True)
            kept = keep(file, fetched)
            digest = kept.digest
            program = msgspec.structs.replace(program, artifact=kept.location, digest=digest)
            file = msgspec.structs.replace(file, program=program)
        elif program.script is not None:
            digest = verify(Path(program.script), program.digest)
        return file, entrypoint_of(file, directory), digest
    except FlowjobError as error:
        found.wrong(str(error), error.code)
        return file, None, digest


def _state(file: JobFile, directory: Path, found: _Findings) -> RestorePoint | None:
    """What the revision would begin with; None: nothing, or nobody knows."""
    if file.storage is None:
        found.notes.append(
            "the job keeps no checkpoints: a failure ends it, and an upgrade begins anew"
        )
        return None
    try:
        return asyncio.run(_look(file, directory))
    except FlowjobError as error:
        found.wrong(str(error), error.code)
        return None


async def _look(file: JobFile, directory: Path) -> RestorePoint | None:
    """Proves the store, then finds the snapshot. Raises StorageError, SnapshotError and its kin."""
    env = real_env(directory)
    store = SnapshotStore(env, store_of(file), job_paths(file).root)
    try:
        await prove_conditional_create(store.store, store.paths, env.random)
        state = await store.look()
        if is_run(state, file.run) and state.newest is not None:
            return await store.read(state.newest)
        return await _beginning(env, store, file)
    finally:
        await store.close()


async def _beginning(env: Env, store: SnapshotStore, file: JobFile) -> RestorePoint | None:
    restore, state = file.restore, store.state
    wish = Wish(
        Mode(restore.mode),
        restore.path,
        restore.since,
        restore.expected,
        Prior(restore.prior_state),
    )
    match decision := await decide(env, store, wish, lives_of(file)):
        case Refused():
            raise as_error(decision)
        case FromPlace(path):
            return await elsewhere(env, store.location, StartFrom(path))
        case FromLog() if state.newest is not None:
            return await store.read(state.newest)
        case FromLog() if state.source:
            return await elsewhere(env, store.location, StartFrom(state.source))
    return None


def _path(point: RestorePoint) -> str:
    return point.place.rstrip("/")
