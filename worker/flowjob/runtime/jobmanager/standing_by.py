"""A JobManager that waits for its turn: until whoever leads the job does not answer any more.

Who leads, and where it can be asked, is in the job's log. To be wrong about its life is no harm: the log lets only one
of two lead. It must not know what leading is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
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
"""Questions in a row without an answer, behind which the leader is gone."""


async def until_nobody_leads(
    env: Env,
    store: SnapshotStore,
    here: Endpoint,
    heard: Callable[[LogState], bool],
    most_misses: int = MISSES,
) -> None:
    """Returns soon when nobody has ever led, and when who led did so `here`: that was an earlier life of this one.
    `heard` gets the log's state whenever it was looked at, may raise, and says whether there is nobody to wait for.

    Raises HandshakeRefused when the leader has another token: it is another job's."""
    asking: list[asyncio.Future[bool]] = []
    pauses: list[asyncio.Future[None]] = []
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
                misses = misses if state.address == address else 0
                address = state.address
                if address == here.address:
                    return
                if not address:
                    if most_misses > 1:  # others may begin, too
                        await env.clock.sleep(EVERY * env.random.random())
                    if not (await store.look()).address:
                        return
                    continue
            asking = [a for a in asking if not a.done()]
            asking.append(asyncio.ensure_future(_answers(env, f"ws://{address}", here.token)))
            pauses = [asyncio.ensure_future(env.clock.sleep(EVERY))]
            both: list[asyncio.Future[Any]] = [asking[-1], *pauses]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            answered = asking[-1].done() and asking[-1].result()
            misses = 0 if answered else misses + 1
            await pauses[0]
    finally:
        await cancel_all([*asking, *pauses])


async def _answers(env: Env, url: str, token: str) -> bool:
    """Whether a leader does. Raises HandshakeRefused."""
    try:
        where = Whereabouts("", 0, url, token)
        answer = await ask(env.control, where, Ask(what="state"), EVERY)
    except HandshakeRefused:
        raise
    except Exception:  # noqa: BLE001 - whatever answers there is no leader
        return False
    return answer.generation > 0  # else another one stands by, where the leader was
