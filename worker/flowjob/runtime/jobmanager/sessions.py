"""The JobManager's side of the control connections: registration, heartbeats, one outbox per TaskManager.

A stranger's, a garbled or an outdated message ends its connection with a log line and nothing else. What messages mean
for the job is manager.py's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from flowjob.core.heartbeats import HeartbeatMonitor
from flowjob.errors import ProtocolError
from flowjob.runtime import messages
from flowjob.runtime.env import ControlConnection, Env
from flowjob.runtime.messages import (
    Answered,
    Ask,
    JobManagerAlive,
    Leaving,
    NotLeading,
    Refused,
    Register,
    Shutdown,
    TaskManagerAlive,
    ToJobManager,
    ToTaskManager,
    Welcome,
)
from flowjob.runtime.outbox import Outbox, cancel_all, first_of

_log = logging.getLogger("flowjob.jobmanager")

HELD = 2.0
"""Seconds that one which comes before anybody is known to lead is kept waiting: it would come again later than that."""

_WHY = 1.0
"""Seconds between the loss of a connection and its report: whoever watches the process may know more."""


@dataclass(slots=True)
class Session:
    """One TaskManager's connection."""

    name: str
    host: str
    pid: int
    slots: int
    connection: ControlConnection
    outbox: Outbox = field(default_factory=Outbox)
    leaving: str | None = None
    dropped: set[int] = field(default_factory=set)
    """Generations for which it had messages that came too late."""


class Sessions:
    """All TaskManagers. What they do is told:

    resumes     of one that comes: whether its slots go on for now
    registered  the same, with the answer
    departing   one will end: its name, why, within so many seconds
    lost        name, reason
    received    name, message
    outdated    one of them knows a newer JobManager
    leads_yet   whether nobody has taken the job over since: it finds out

    generation  the JobManager's; 0: it does not lead, so nobody may register
    leader      the address of whoever leads meanwhile, and has answered
    keeping     TaskManagers' slots go on until it is clear what becomes of them
    """

    def __init__(
        self,
        env: Env,
        *,
        monitor: HeartbeatMonitor,
        resumes: Callable[[Register], bool],
        registered: Callable[[Register, bool], None],
        departing: Callable[[str, str, float], None],
        lost: Callable[[str, str], None],
        received: Callable[[str, ToJobManager], None],
        asked: Callable[[Ask], Awaitable[Answered]],
        outdated: Callable[[], None],
        leads_yet: Callable[[], Awaitable[bool]],
    ) -> None:
        self._env = env
        self.generation = 0
        self.leader = ""
        self._leads = asyncio.Event()
        self.keeping = False
        self._outdated = outdated
        self._leads_yet = leads_yet
        self._first = asyncio.Lock()
        self._monitor = monitor
        self._resumes = resumes
        self._registered = registered
        self._departing = departing
        self._lost = lost
        self._received = received
        self._asked = asked
        self._sessions: dict[str, Session] = {}
        self._hosts: dict[str, str] = {}
        self._ended: str | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def host_of(self, name: str) -> str:
        """Of a TaskManager that has ever registered: it may be gone, and nobody told of that yet."""
        return self._hosts[name]

    def offers(self) -> dict[str, int]:
        """Slots of every TaskManager that is there."""
        return {name: session.slots for name, session in self._sessions.items()}

    def here(self) -> list[Session]:
        """Every TaskManager that is there."""
        return list(self._sessions.values())

    def send(self, name: str, message: ToTaskManager) -> None:
        """To a TaskManager; one that is gone gets nothing."""
        session = self._sessions.get(name)
        if session is not None:
            stamped = messages.stamped(message, self.generation)
            session.outbox.put(messages.to_taskmanager.encode(stamped))

    def end(self, reason: str) -> None:
        """Sends all TaskManagers home, also those that come later."""
        self._ended = reason
        self.broadcast(Shutdown(reason=reason))

    async def abandon(self) -> None:
        """Leaves TaskManagers to another JobManager: they and their slots go on."""
        self.generation = 0
        for session in list(self._sessions.values()):
            await session.connection.close("this JobManager leads no more")

    def renew(self) -> None:
        """Has all TaskManagers register anew, under the generation that is now: their slots go on until they have."""
        self._leads.set()
        former, self._sessions = self._sessions, {}
        for session in former.values():
            self._keep(session.connection.close("the job has been claimed anew"))

    async def close(self) -> None:
        """Connections are closed behind those that have come again. Whoever is kept waiting need not wait any more."""
        self._leads.set()
        await cancel_all(list(self._closing))

    def broadcast(self, message: ToTaskManager) -> None:
        for name in self._sessions:
            self.send(name, message)

    async def beat(self) -> None:
        """Shows life to TaskManagers and drops those that show none. Runs until cancelled."""
        clock = self._env.clock
        while True:
            await clock.sleep(self._monitor.interval)
            self.broadcast(JobManagerAlive())
            for name in self._monitor.tick(clock.monotonic()):
                session = self._sessions.get(name)
                if session is not None:
                    session.leaving = f"was silent for more than {self._monitor.timeout:g} s"
                    await session.connection.close("silent")

    async def serve(self, connection: ControlConnection) -> None:
        """A connection's whole life."""
        session: Session | None = None
        try:
            session = await self._register(connection)
            if session is not None:
                await first_of(session.outbox.run(connection), self._read(session))
        except ProtocolError as error:
            _log.warning("closed a control connection: %s", error)
        except ConnectionError as error:  # what it means is told where the job ends
            _log.info("lost a control connection: %s", error)
        finally:
            await connection.close()
            if session is not None:
                await self._gone(session)

    async def _register(self, connection: ControlConnection) -> Session | None:
        first = await connection.receive()
        if first is None:
            return None
        hello = messages.to_jobmanager.decode(first)
        if isinstance(hello, Ask):
            answer = messages.stamped(await self._asked(hello), self.generation)
            await connection.send(messages.to_taskmanager.encode(answer))
            return None
        if not isinstance(hello, Register):
            raise ProtocolError(f"{type(hello).__name__} in place of Register")
        refusal = await self._considered(hello)
        if refusal is not None:
            _log.info("refused %s: %s", hello.taskmanager, refusal)
            await connection.send(messages.to_taskmanager.encode(refusal))
            return None
        session = Session(hello.taskmanager, hello.host, hello.pid, hello.slots, connection)
        self._sessions[session.name] = session
        self._hosts[session.name] = session.host
        self._monitor.seen(session.name, self._env.clock.monotonic())
        resumes = self._resumes(hello)
        timeout = self._monitor.timeout
        self.send(
            session.name,
            Welcome(
                keep=hello.running if self.keeping or resumes else [],
                heartbeat_interval=self._monitor.interval,
                heartbeat_timeout=timeout,
            ),
        )
        self._registered(hello, resumes)
        return session

    async def _considered(self, hello: Register) -> Refused | NotLeading | None:
        """None: it may stay."""
        refusal = self._refusal(hello)
        if isinstance(refusal, NotLeading) and not refusal.leader:
            await first_of(self._leads.wait(), self._env.clock.sleep(HELD))
            return NotLeading(leader=self.leader, come_again=self.generation > 0)
        if refusal is None and not self._sessions:
            # To one that has none, nobody has said whether another leads; what is started then might outlive the job.
            try:
                async with asyncio.timeout(HELD), self._first:
                    if not self._sessions and not await self._leads_yet():
                        return NotLeading()
            except TimeoutError:
                return NotLeading()
            return self._refusal(hello)  # much may have happened meanwhile
        return refusal

    def _refusal(self, hello: Register) -> Refused | NotLeading | None:
        if hello.protocol != messages.PROTOCOL:
            return Refused(
                reason=f"it speaks protocol version {hello.protocol}, this JobManager {messages.PROTOCOL}"
            )
        if not self.generation:
            return NotLeading(leader=self.leader)
        if hello.generation > self.generation:
            self._outdated()
            newer = f"it belongs to a newer JobManager (generation {hello.generation})"
            return Refused(reason=newer, again=True)
        if hello.taskmanager in self._sessions and not self._gives_way(hello):
            there = f"there is already a TaskManager named {hello.taskmanager}"
            return Refused(reason=there, again=True)
        return None if self._ended is None else Refused(reason=self._ended)

    async def _read(self, session: Session) -> None:
        while (data := await session.connection.receive()) is not None:
            self._monitor.seen(session.name, self._env.clock.monotonic())
            message = messages.to_jobmanager.decode(data)
            if message.generation != self.generation:
                if message.generation not in session.dropped:
                    # All that its slots have said meanwhile: once is enough for a takeover.
                    session.dropped.add(message.generation)
                    _log.info(
                        "what %s tells the JobManager of generation %d is dropped",
                        session.name,
                        message.generation,
                    )
                continue
            match message:
                case TaskManagerAlive(lines=lines):
                    if lines:
                        self._received(session.name, message)
                case Leaving(reason=reason, within=within) if within:
                    self._departing(session.name, reason, within)
                case Leaving(reason=reason):
                    session.leaving = f"stopped because {reason}"
                case Register() | Ask():
                    raise ProtocolError(f"{type(message).__name__} in a session")
                case _:
                    self._received(session.name, message)

    def _gives_way(self, hello: Register) -> bool:
        """The same process comes again before the end of its last connection was noticed."""
        former = self._sessions[hello.taskmanager]
        if (former.host, former.pid) != (hello.host, hello.pid):
            return False
        del self._sessions[hello.taskmanager]
        self._keep(former.connection.close("it has come again"))
        return True

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _gone(self, session: Session) -> None:
        if self._sessions.get(session.name) is session:
            del self._sessions[session.name]
            self._monitor.forget(session.name)
        if not self.generation:
            return  # another JobManager has them
        if session.leaving is None:
            await self._env.clock.sleep(_WHY)
        if session.name not in self._sessions:
            self._lost(session.name, session.leaving or "lost its connection to the JobManager")
