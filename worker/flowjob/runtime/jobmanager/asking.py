"""What people ask of a running job from outside: its state, a savepoint, an end; and how they find it.

A job on this machine writes a file, readable for its user only, that says where it listens and with which token. It
must not know command lines."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from flowjob.core.coordinator_events import SavepointRequested
from flowjob.core.elements import Stop
from flowjob.core.job_machine import JobState
from flowjob.errors import AlreadyRunning, StorageError
from flowjob.runtime import messages
from flowjob.runtime.env import ControlPlane, Env
from flowjob.runtime.jobmanager.checkpoints import CheckpointService
from flowjob.runtime.jobmanager.request import JobRequest
from flowjob.runtime.messages import Answered, Ask

_log = logging.getLogger("flowjob.jobmanager")

CONTROL_FILE = ".running.json"
"""In the job's directory. Stores never look at names that begin with a dot."""


LOOK_AGAIN = 0.1
"""Seconds between looks at a job that is about to run, for those who want a savepoint of it."""

_NOT_YET = {
    state.value
    for state in (JobState.WAITING, JobState.STARTING, JobState.DEPLOYING, JobState.RESTARTING)
}


class Whereabouts(msgspec.Struct, frozen=True):
    """The content of the file."""

    job: str
    pid: int
    url: str
    token: str


def write_whereabouts(path: Path, whereabouts: Whereabouts) -> None:
    """Whole or not at all; blocking."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        unfinished.unlink()
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(msgspec.json.encode(whereabouts))
    unfinished.replace(path)


def read_whereabouts(path: Path) -> Whereabouts | None:
    """None when there is none, or nothing that could be one; blocking."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Whereabouts)
    except (OSError, msgspec.MsgspecError):
        return None


def remove_whereabouts(path: Path, token: str) -> None:
    """Unless another job has written there since; blocking."""
    found = read_whereabouts(path)
    if found is not None and found.token == token:
        path.unlink(missing_ok=True)


async def ask(control: ControlPlane, where: Whereabouts, wish: Ask, deadline: float) -> Answered:
    """The job's answer, however long it takes once connected. Raises OSError and its kin when the job does not
    answer within `deadline` seconds, or breaks off."""
    connection = await control.connect(where.url, where.token, deadline=deadline)
    try:
        await connection.send(messages.to_jobmanager.encode(wish))
        data = await connection.receive()
        if data is None:
            raise ConnectionError("the job has ended before it answered")
        answer = messages.to_taskmanager.decode(data)
        if not isinstance(answer, Answered):
            raise ConnectionError(f"{type(answer).__name__} in place of an answer")
        return answer
    finally:
        await connection.close()


async def publish(env: Env, request: JobRequest, url: str, token: str) -> None:
    """Says where the job can be reached. Where that cannot be written, the job runs all the same: its checkpoints may
    be in another place, which is asked for itself."""
    path = request.control_file
    if path is None:
        return
    where = Whereabouts(request.job.name, os.getpid(), url, token)
    try:
        await env.run_blocking(write_whereabouts, path, where)
    except OSError as error:
        _log.warning(
            "job %s cannot be reached by `flowjob savepoint take` and `flowjob stop`: cannot write %s: %s",
            request.job.name,
            path,
            error.strerror,
        )


async def unpublish(env: Env, request: JobRequest, token: str) -> None:
    """The job has ended."""
    if request.control_file is not None:
        await env.run_blocking(remove_whereabouts, request.control_file, token)


async def refuse_a_second(env: Env, request: JobRequest) -> None:
    """Raises AlreadyRunning when the job of this file lives: a second one would take its leadership from it."""
    path = request.control_file
    if path is None:
        return
    where = await env.run_blocking(read_whereabouts, path)
    if where is None:
        return
    try:
        await ask(env.control, where, Ask(what="state"), deadline=2.0)
    except Exception:  # noqa: BLE001 - whoever wrote it is gone, or something else listens there now
        return
    raise AlreadyRunning(
        f"job {where.job} is running already (pid {where.pid}), with its checkpoints in {path.parent}. Stop it first "
        f"(flowjob stop {where.job}), or give this run another place (--checkpoints)"
    )


class Answering:
    """The JobManager's side. `state` says what the job is doing; `cancel` ends it."""

    def __init__(self, env: Env, state: Callable[[], str], cancel: Callable[[str], None]) -> None:
        self._env = env
        self._state = state
        self._cancel = cancel
        self.checkpoints: CheckpointService | None = None
        self._names: set[str] = set()

    async def answer(self, wish: Ask) -> Answered:
        match wish.what:
            case "state":
                return Answered(state=self._state())
            case "cancel":
                self._cancel("asked from outside")
                return Answered(state=self._state())
            case "savepoint" | "stop":
                return await self._savepoint(wish)
        return Answered(state=self._state(), failure=f"`{wish.what}` cannot be asked of a job")

    async def _savepoint(self, wish: Ask) -> Answered:
        while self._state() in _NOT_YET:  # who asks may do so right behind the start
            await self._env.clock.sleep(LOOK_AGAIN)
        if self.checkpoints is None:
            return Answered(state=self._state(), failure="the job runs without checkpoints")
        token = self._env.random.token()
        name = wish.savepoint or f"{self._env.clock.wall() // 1_000_000}-{token[:4]}"
        if name in self._names:
            failure = f"a savepoint called `{name}` is being taken already"
            return Answered(state=self._state(), failure=failure)
        self._names.add(name)
        try:
            return await self._take(self.checkpoints, wish, token, name)
        finally:
            self._names.remove(name)

    async def _take(
        self, checkpoints: CheckpointService, wish: Ask, token: str, name: str
    ) -> Answered:
        try:
            in_the_way = await checkpoints.savepoint_in_the_way(name)
        except StorageError as error:
            in_the_way = str(error)
        if in_the_way is not None:
            return Answered(state=self._state(), failure=in_the_way)
        stop = Stop.NO if wish.what == "savepoint" else Stop.DRAIN if wish.drain else Stop.SUSPEND
        answer = await checkpoints.request(SavepointRequested(token, name, stop))
        place = None if answer.failure is not None else checkpoints.savepoint_place(name)
        return Answered(state=self._state(), failure=answer.failure, place=place)
