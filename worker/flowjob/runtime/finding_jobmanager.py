"""A TaskManager's search for the JobManager that leads its job: at several addresses, again and again, for some time.

It registers there, since only the answer tells who leads. What the TaskManager does then is its own business."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

from flowjob.errors import HandshakeRefused, ProtocolError
from flowjob.runtime import messages
from flowjob.runtime.env import ControlConnection, Env
from flowjob.runtime.messages import NotLeading, Refused, Register, Shutdown, Welcome
from flowjob.runtime.outbox import cancel_all, first_of

FIRST_PAUSE, EARLY_PAUSE, LONGEST_PAUSE = 0.1, 0.3, 1.0
"""Seconds between two rounds; each is longer than the last one, and chance makes it up to half shorter."""

EARLY = 20.0
"""Seconds in which the next JobManager mostly comes. Until then pauses are no longer than EARLY_PAUSE: what is left of
one when it comes is time in which the job completes no checkpoint."""

ANSWER_WITHIN = 5.0
"""Seconds for one address: one that swallows everything must not use up the time for the others."""


@dataclass(frozen=True, slots=True)
class Found:
    connection: ControlConnection
    welcome: Welcome


class SentAway(Exception):
    """There is no use in trying on. `by_jobmanager`: it has said so itself."""

    def __init__(self, reason: str, *, by_jobmanager: bool = False) -> None:
        super().__init__(reason)
        self.by_jobmanager = by_jobmanager


class _Unsuited(ConnectionError):
    """Somebody answers there, who is not the one."""


class JobManagerSearch:
    """`urls`: where a JobManager may be. `hello` gives the registration, as it is at that moment."""

    def __init__(
        self, env: Env, urls: Sequence[str], token: str, hello: Callable[[], Register]
    ) -> None:
        self._env = env
        self._urls = list(urls)
        self._token = token
        self._hello = hello
        self._told = ""

    async def find(self, within: float, ending: asyncio.Event) -> Found | None:
        """None when `ending` is set first. Raises SentAway, saying who was asked and what came of it."""
        clock = self._env.clock
        began = clock.monotonic()
        until = began + within
        pause = FIRST_PAUSE
        last = "nobody was asked"
        at_once = False
        while not ending.is_set():
            for url in self._candidates():
                left = until - clock.monotonic()
                if left <= 0:
                    raise SentAway(
                        f"no JobManager at {' or '.join(self._urls)} for {within:g} s (last error: {last})"
                    )
                try:
                    return await self._unless(ending, self._try(url, min(left, ANSWER_WITHIN)))
                except HandshakeRefused as error:
                    raise SentAway(f"{error}; it must be that of the JobManager's job") from error
                except (OSError, TimeoutError, ProtocolError) as error:
                    last = str(error) or "nobody answered in time"
                if ending.is_set():
                    return None
            # Two that send it to each other are not asked without end.
            at_once = bool(self._told) and not at_once
            if at_once:
                continue
            await first_of(clock.sleep(pause * (1 - self._env.random.random() / 2)), ending.wait())
            early = clock.monotonic() - began < EARLY
            pause = min(1.5 * pause, EARLY_PAUSE if early else LONGEST_PAUSE)
        return None

    def _candidates(self) -> list[str]:
        """Whom somebody has named as the leader first."""
        told, self._told = self._told, ""
        return list(dict.fromkeys([*filter(None, [told]), *self._urls]))

    async def _unless(
        self, ending: asyncio.Event, trying: Coroutine[None, None, Found]
    ) -> Found | None:
        """Whoever is to end does not wait for an address that swallows everything. None: it is called off."""
        found = asyncio.ensure_future(trying)
        ended = asyncio.ensure_future(ending.wait())
        try:
            await asyncio.wait([found, ended], return_when=asyncio.FIRST_COMPLETED)
            return found.result() if found.done() else None
        finally:
            await cancel_all([found, ended])

    async def _try(self, url: str, deadline: float) -> Found:
        connection = await self._env.control.connect(url, self._token, deadline=deadline)
        try:
            async with asyncio.timeout(deadline):
                welcome = await self._register(url, connection)
        except BaseException:
            await connection.close()
            raise
        return Found(connection, welcome)

    async def _register(self, url: str, connection: ControlConnection) -> Welcome:
        hello = self._hello()
        await connection.send(messages.to_jobmanager.encode(hello))
        answer = await connection.receive()
        if answer is None:
            raise _Unsuited(f"{url} closed before it had answered the registration")
        match messages.to_taskmanager.decode(answer):
            case Welcome() as welcome if welcome.generation >= hello.generation:
                return welcome
            case Welcome(generation=generation):
                raise _Unsuited(
                    f"the JobManager at {url} is of generation {generation}, and {hello.generation} has led since"
                )
            case NotLeading(leader=leader, come_again=come_again):
                self._told = url if come_again else leader
                raise _Unsuited(f"the JobManager at {url} does not lead the job (yet)")
            case Refused(reason=reason, again=True):
                raise _Unsuited(f"the JobManager at {url}: {reason}")
            case Refused(reason=reason) | Shutdown(reason=reason):
                reason = f"the JobManager refused this TaskManager: {reason}"
                raise SentAway(reason, by_jobmanager=True)
            case other:
                raise ProtocolError(f"{type(other).__name__} in place of Welcome")
