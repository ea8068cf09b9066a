"""The TaskManager: a small supervisor of slot processes on one machine.

It registers with the JobManager, starts and stops slots for it, passes messages and output between them, and reports
every exit. When it loses its JobManager its slots go on for the grace time, for another one to adopt; then it ends. It
reads no message that is for a slot, and imports neither Arrow nor any job: it is up in a tenth of a second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from flowjob.errors import ProtocolError
from flowjob.runtime import messages
from flowjob.runtime.env import ControlConnection, Env
from flowjob.runtime.finding_jobmanager import Found, JobManagerSearch, SentAway
from flowjob.runtime.last_words import LastWords
from flowjob.runtime.messages import (
    FromSlot,
    Leaving,
    Register,
    Shutdown,
    SlotForked,
    SlotGone,
    SlotOutput,
    SlotSilent,
    StartSlot,
    StopSlot,
    StopTasks,
    TaskManagerAlive,
    ToSlot,
    Welcome,
)
from flowjob.runtime.outbox import Outbox, cancel_all, first_of
from flowjob.runtime.said_lines import SaidLines
from flowjob.runtime.slot_launcher import SlotLauncher, SlotProcess
from flowjob.runtime.speaking import unmarked
from flowjob.runtime.wire import SaidLine

_log = logging.getLogger("flowjob.taskmanager")

LEAVE_WITHIN = 45.0
"""Seconds for the JobManager to take its tasks elsewhere: less than the minute that pods get to end."""

ALONE_FOR = 2.0
"""Seconds without a JobManager, who is the only one to take them: it has ended, too, to make room for its successor."""

_LOOK_EVERY = 0.25


@dataclass(frozen=True, slots=True)
class TaskManagerSettings:
    """urls: control addresses, ws://host:port, of JobManagers, of which one leads. host: where slots listen for data.
    grace: seconds without a JobManager after which it gives up; until then its slots go on. stuck_after: seconds of a
    slot's silence worth a report."""

    name: str
    urls: tuple[str, ...]
    token: str
    slots: int
    pid: int
    host: str = "127.0.0.1"
    connect_within: float = 30.0
    grace: float = 30.0
    stuck_after: float = 600.0


@dataclass(slots=True)
class _Slot:
    """A slot from the request for it until its exit is reported."""

    number: int
    attempt: int
    outbox: Outbox = field(default_factory=Outbox)
    process: SlotProcess | None = None
    said: LastWords = field(default_factory=LastWords)
    heard: float = 0.0
    told_silent: bool = False
    killed: bool = False
    successor: StartSlot | None = None


class TaskManager:
    """`run` returns when it is told to end or has lost its JobManager; no slot lives then. `dismissed`: the JobManager
    has said so, who has no work for it any more. `gave_up`: it had none."""

    def __init__(self, env: Env, settings: TaskManagerSettings, launcher: SlotLauncher) -> None:
        self._env = env
        self._settings = settings
        self._launcher = launcher
        self._outbox = Outbox()
        self._slots: dict[int, _Slot] = {}
        self._lives: set[asyncio.Task[None]] = set()
        self._generation = 0
        self._ending = asyncio.Event()
        self._reason = ""
        self._leaving: tuple[str, float] | None = None
        self._emptied = asyncio.Event()
        self.registered = False
        self.gave_up = False
        self.dismissed = False
        self.said = SaidLines()
        self._jobmanager_seen = 0.0

    @property
    def slots(self) -> tuple[int, int]:
        """How many there are now, and how many there may be."""
        return len(self._slots), self._settings.slots

    def shut_down(self, reason: str) -> None:
        """Ends `run` soon."""
        if not self._ending.is_set():
            self._reason = reason
            self._ending.set()

    def leave(self, reason: str, within: float = LEAVE_WITHIN) -> None:
        """Ends `run` when the JobManager has taken its tasks elsewhere, or has been away for ALONE_FOR, after `within`
        seconds at most; said twice, at once."""
        if self._leaving is not None or not self._slots:
            self.shut_down(reason)
            return
        self._leaving = (reason, self._env.clock.monotonic() + within)
        self.say(f"is to end, because {reason}: its tasks have {within:g} s to be taken elsewhere")
        self._tell(Leaving(reason=reason, within=within))
        self._keep(self._leave_empty(reason, within))

    async def _leave_empty(self, reason: str, within: float) -> None:
        await first_of(self._emptied.wait(), self._alone(), self._env.clock.sleep(within))
        self.shut_down(reason)

    async def _alone(self) -> None:
        clock = self._env.clock
        seen = clock.monotonic()
        while clock.monotonic() - seen < ALONE_FOR:
            await clock.sleep(_LOOK_EVERY)
            seen = clock.monotonic() if self.registered else seen

    async def run(self) -> str:
        """Serves until the end and returns the reason for it."""
        settings = self._settings
        search = JobManagerSearch(self._env, settings.urls, settings.token, self._hello)
        within = settings.connect_within
        try:
            while not self._ending.is_set():
                found = await search.find(within, self._ending)
                if found is not None:
                    await self._session(found)
                within = settings.grace
        except SentAway as error:
            self.gave_up = not error.by_jobmanager
            self.shut_down(str(error))
        finally:
            await self._stop_all()
        return self._reason

    # The connection

    def _hello(self) -> Register:
        settings = self._settings
        alive = [s for s in self._slots.values() if s.process is not None and not s.killed]
        return Register(
            protocol=messages.PROTOCOL,
            taskmanager=settings.name,
            slots=settings.slots,
            pid=settings.pid,
            host=settings.host,
            running=[(s.number, s.attempt) for s in alive],
            pids=[s.process.pid for s in alive if s.process is not None],
            generation=self._generation,
        )

    async def _session(self, found: Found) -> None:
        """From registration to the loss of this connection."""
        connection, welcome = found.connection, found.welcome
        self._generation = welcome.generation
        self._end_unwanted(welcome)
        self.registered = True
        if self._leaving is not None:  # another JobManager, perhaps, which has not heard of it
            reason, until = self._leaving
            left = max(0.1, until - self._env.clock.monotonic())
            self._tell(Leaving(reason=reason, within=left))
        try:
            await first_of(
                self._outbox.run(connection),
                self._beat(connection, welcome),
                self._obey(connection),
                self._ending.wait(),
            )
        except ConnectionError as error:
            _log.warning("lost the JobManager: %s", error)
        except ProtocolError as error:
            _log.error("closed the connection to the JobManager: %s", error)
            await self._env.clock.sleep(0.1)
        finally:
            self.registered = False
            if self._ending.is_set():
                self._tell(self._alive())
                self._tell(Leaving(reason=self._reason))
                await first_of(
                    self._outbox.flushed(), self._drain(connection), self._env.clock.sleep(0.5)
                )
            await connection.close(self._reason)

    async def _drain(self, connection: ControlConnection) -> None:
        try:
            await self._outbox.run(connection)
        except ConnectionError:
            pass

    def _end_unwanted(self, welcome: Welcome) -> None:
        wanted = set(welcome.keep)
        for slot in self._slots.values():
            if (slot.number, slot.attempt) not in wanted:
                self._kill(slot)

    async def _beat(self, connection: ControlConnection, welcome: Welcome) -> None:
        """Shows life, and returns when the JobManager has not for too long. Also watches for silent slots."""
        clock = self._env.clock
        self._jobmanager_seen = clock.monotonic()
        while True:
            await connection.send(messages.to_jobmanager.encode(self._alive()))
            await clock.sleep(welcome.heartbeat_interval)
            now = clock.monotonic()
            if now - self._jobmanager_seen > welcome.heartbeat_timeout:
                raise ConnectionError(f"it was silent for {now - self._jobmanager_seen:.1f} s")
            self._watch_for_silence(now)

    def _alive(self) -> TaskManagerAlive:
        lines, dropped = self.said.take(), self.said.dropped
        return TaskManagerAlive(lines=lines, dropped=dropped, generation=self._generation)

    def say(self, text: str, level: str = "INFO", slot: _Slot | None = None) -> None:
        """A line of this TaskManager in the job's log."""
        number, attempt = (-1, 0) if slot is None else (slot.number, slot.attempt)
        now = self._env.clock.wall()
        self.said.add(SaidLine(now, level, "flowjob.taskmanager", text, number, attempt))

    def _watch_for_silence(self, now: float) -> None:
        for slot in self._slots.values():
            silent = now - slot.heard
            if slot.process is None or slot.told_silent or silent <= self._settings.stuck_after:
                continue
            slot.told_silent = True
            slot.process.dump_stacks()
            self._tell(SlotSilent(slot=slot.number, seconds=silent, attempt=slot.attempt))

    async def _obey(self, connection: ControlConnection) -> None:
        """Carries out what the JobManager says, until the connection ends."""
        while (data := await connection.receive()) is not None:
            self._jobmanager_seen = self._env.clock.monotonic()
            message = messages.to_taskmanager.decode(data)
            if message.generation != self._generation:
                _log.warning(
                    "dropped %s of generation %d", type(message).__name__, message.generation
                )
                continue
            match message:
                case StartSlot():
                    self._start(message)
                case ToSlot(slot=number, attempt=attempt, body=body):
                    slot = self._slot(number, attempt)
                    if slot is not None:
                        slot.outbox.put(body)
                case StopSlot():
                    self._stop(message)
                case Shutdown(reason=reason):
                    self.dismissed = self._leaving is None and not self._ending.is_set()
                    self.shut_down(reason)
                    return
                case _:
                    pass  # the JobManager is alive

    # Slots

    def _slot(self, number: int, attempt: int) -> _Slot | None:
        slot = self._slots.get(number)
        return slot if slot is not None and slot.attempt == attempt else None

    def _start(self, request: StartSlot) -> None:
        former = self._slots.get(request.slot)
        if former is not None and former.killed:  # it is as good as gone: take its place then
            former.successor = request
            return
        taken = sum(not slot.killed for slot in self._slots.values())
        if request.slot in self._slots or taken >= self._settings.slots:
            reason = f"could not be started: {self._settings.name} has no free slot"
            self._tell(SlotGone(slot=request.slot, reason=reason, attempt=request.attempt))
            return
        slot = _Slot(request.slot, request.attempt, heard=self._env.clock.monotonic())
        slot.outbox.put(request.launch)
        self._slots[request.slot] = slot
        self._keep(self._live(slot))

    async def _live(self, slot: _Slot) -> None:
        """A slot's whole life, from fork to the report of its exit."""

        async def on_output(stream: str, lines: list[str]) -> None:
            said, marks = unmarked(lines)
            slot.said.add(said)
            output = SlotOutput(
                slot=slot.number, stream=stream, lines=said, marks=marks, attempt=slot.attempt
            )
            self._tell(output)
            await self._outbox.room()

        try:
            slot.process = await self._launcher.start(f"flowjob-slot-{slot.number}", on_output)
        except OSError as error:
            reason = f"could not be started: {error}"
        else:
            self._tell(SlotForked(slot=slot.number, pid=slot.process.pid, attempt=slot.attempt))
            if slot.killed:
                slot.process.kill()
            talk = asyncio.ensure_future(self._talk(slot, slot.process.control))
            try:
                reason = await slot.process.wait()
                await asyncio.wait([talk], timeout=1.0)
            finally:
                await cancel_all([talk])
        del self._slots[slot.number]
        if not self._slots:
            self._emptied.set()
        gone = SlotGone(
            slot=slot.number, reason=reason, last_output=slot.said.lines(), attempt=slot.attempt
        )
        self._tell(gone)
        if slot.successor is not None:
            self._start(slot.successor)

    async def _talk(self, slot: _Slot, control: ControlConnection) -> None:
        """Passes messages between JobManager and slot until the slot closes its end."""
        sending = asyncio.ensure_future(slot.outbox.run(control))
        try:
            while (body := await control.receive()) is not None:
                slot.heard = self._env.clock.monotonic()
                slot.told_silent = False
                self._tell(FromSlot(slot=slot.number, body=body, attempt=slot.attempt))
                await self._outbox.room()
        except ProtocolError as error:
            _log.error("slot %d broke its protocol: %s", slot.number, error)
            self._kill(slot)
        finally:
            await cancel_all([sending])

    def _stop(self, request: StopSlot) -> None:
        slot = self._slot(request.slot, request.attempt)
        if slot is None:
            return
        if request.grace <= 0:
            self._kill(slot)
            return
        stop = StopTasks(reason=request.reason, generation=self._generation, attempt=slot.attempt)
        slot.outbox.put(messages.to_slot.encode(stop))
        self._keep(self._kill_later(slot, request.grace))

    async def _kill_later(self, slot: _Slot, grace: float) -> None:
        await self._env.clock.sleep(grace)
        if self._slots.get(slot.number) is slot:
            self.say(f"was asked to end, and has not for {grace:g} s: it is killed", slot=slot)
            self._kill(slot)

    def _kill(self, slot: _Slot) -> None:
        slot.killed = True
        if slot.process is not None:
            slot.process.kill()

    def _keep(self, life: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(life)
        self._lives.add(task)
        task.add_done_callback(self._lives.discard)

    def _tell(self, message: messages.ToJobManager) -> None:
        stamped = messages.stamped(message, self._generation)
        self._outbox.put(messages.to_jobmanager.encode(stamped))

    async def _stop_all(self) -> None:
        """At the end nothing is asked any more: slots are killed with their fork server."""
        await self._launcher.close()
        await cancel_all(list(self._lives))


if __name__ == "__main__":
    from flowjob.runtime.real.taskmanager_process import main

    main()
