"""A JobManager that waits for its turn: until whoever leads the job does not answer any more.

Who leads, and where it can be asked, is in the job's log. To be wrong about its life is no harm: the log lets only one
of two lead. It must not know what leading is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from flowjob.core.snapshot_log import LogState
from flowjob.errors import HandshakeRefused, StorageError
from flowjob.runtime.env import Env
from flowjob.runtime.jobmanager.asking import Whereabouts, ask
from flowjob.runtime.jobmanager.cluster import Endpoint
from flowjob.runtime.jobmanager.snapshot_store import SnapshotStore
from flowjob.runtime.messages import Ask
from flowjob.runtime.outbox import cancel_all

_log = logging.getLogger("flowjob.jobmanager")

EVERY = 1.0
"""Seconds from one question to the next, and for the answer."""

MISSES = 3
"""Questions in a row without an answer, behind which the leader is gone. The only JobManager there is to be asks once,
and does not wait long: what led before it was taken away, and need not be out of the network already."""

AGAIN = 0.25
"""Seconds to the next question where nobody listens any more: silence may be the network's, this is a process's end."""


class _Found(Enum):
    LEADER = auto()
    NOBODY = auto()
    SILENCE = auto()


async def until_nobody_leads(
    env: Env,
    store: SnapshotStore,
    here: Endpoint,
    heard: Callable[[LogState], bool],
    found_out: Callable[[str], None],
    most_misses: int = MISSES,
) -> None:
    """Returns soon when nobody has ever led, and when who led did so `here`: that was an earlier life of this one.
    `heard` gets the log's state whenever it was looked at, may raise, and says whether there is nobody to wait for.
    `found_out` gets the leader's control address when it has answered, and nothing when it has not.

    Raises HandshakeRefused when the leader has another token: it is another job's."""
    questions = _Questions(env, here.token, EVERY if most_misses > 1 else AGAIN)
    try:
        misses = 0
        address = ""
        while misses < most_misses:
            try:
                state = await store.look()
            except StorageError as error:
                _log.warning("the log cannot be read: %s", error)
            else:
                if heard(state):
                    return
                if state.address != address:
                    misses, address = 0, state.address
                    _log.info("%s has led the job: asking whether it does", address)
                if address == here.address:
                    return
                if not address:
                    if most_misses > 1:  # others may begin, too
                        await env.clock.sleep(EVERY * env.random.random())
                    if not (await store.look()).address:
                        return
                    continue
            found = await questions.ask(address)
            misses = 0 if found is _Found.LEADER else misses + 1
            found_out(f"ws://{address}" if found is _Found.LEADER else "")
            if misses < most_misses:
                await questions.pause()
    finally:
        await questions.close()


class _Questions:
    """One every so many seconds; one that hangs does not hold up the next."""

    def __init__(self, env: Env, token: str, every: float) -> None:
        self._env = env
        self._token = token
        self._every = every
        self._asking: list[asyncio.Future[_Found]] = []
        self._pause: asyncio.Future[None] | None = None

    async def ask(self, address: str) -> _Found:
        """What has come of it by the time of the next one."""
        asking = _answers(self._env, f"ws://{address}", self._token, self._every)
        self._asking = [a for a in self._asking if not a.done()]
        self._asking.append(asyncio.ensure_future(asking))
        pause = self._pause = asyncio.ensure_future(self._env.clock.sleep(self._every))
        both: list[asyncio.Future[Any]] = [self._asking[-1], pause]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        found = self._asking[-1].result() if self._asking[-1].done() else _Found.SILENCE
        if found is _Found.NOBODY:
            await cancel_all([pause])
            self._pause = asyncio.ensure_future(self._env.clock.sleep(AGAIN))
        return found

    async def pause(self) -> None:
        """Until the next one is due."""
        if self._pause is not None:
            await self._pause

    async def close(self) -> None:
        await cancel_all([*self._asking, *filter(None, [self._pause])])


async def _answers(env: Env, url: str, token: str, within: float) -> _Found:
    """Whether a leader does. Raises HandshakeRefused."""
    try:
        where = Whereabouts("", 0, url, token)
        answer = await ask(env.control, where, Ask(what="state"), within)
    except HandshakeRefused:
        raise
    except ConnectionRefusedError:
        return _Found.NOBODY
    except Exception:  # noqa: BLE001 - whatever answers there is no leader
        return _Found.SILENCE
    # No generation: another one stands by, where the leader was.
    return _Found.LEADER if answer.generation > 0 else _Found.SILENCE
