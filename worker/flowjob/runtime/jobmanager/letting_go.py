"""Lets a run end: first the log says that all of its last snapshot is published, then tasks are told that they may go.

In this order, because tasks that have gone cannot publish anything: who takes the job over in between must know that
nothing is left to do. It must not know why a run ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from flowjob.core import job_events
from flowjob.errors import FlowjobError, LostLeadership
from flowjob.runtime import messages
from flowjob.runtime.jobmanager.shell import Shell
from flowjob.runtime.jobmanager.snapshot_store import SnapshotStore
from flowjob.runtime.outbox import cancel_all

_log = logging.getLogger("flowjob.jobmanager")

SAY_WITHIN = 5.0
"""Seconds for the log to take it. Where it does not, the run ends all the same: who takes over later publishes again,
which is idempotent, but needs places for the tasks."""


class LettingGo:
    """Everything is committed when `tasks` or `job` is called, and nothing is done at once."""

    def __init__(self, store: SnapshotStore, shell: Shell) -> None:
        self._store = store
        self._shell = shell
        self._then: Callable[[], None] | None = None
        self._saying: set[asyncio.Task[None]] = set()

    def tasks(self, checkpoint: int) -> None:
        """They only wait for it."""
        self._begin(checkpoint, self._release)

    def job(self, checkpoint: int) -> None:
        """Its tasks are not needed any more, wherever they are."""
        self._begin(checkpoint, lambda: self._shell.happened(job_events.StopCompleted()))

    def forget(self) -> None:
        """Tasks have failed, or somebody else decides now: nobody is told to go."""
        self._then = None

    async def close(self) -> None:
        self.forget()
        await cancel_all(list(self._saying))

    def _begin(self, checkpoint: int, then: Callable[[], None]) -> None:
        self._then = then
        saying = asyncio.ensure_future(self._end(checkpoint, then))
        self._saying.add(saying)
        saying.add_done_callback(self._over)

    async def _end(self, checkpoint: int, then: Callable[[], None]) -> None:
        said = asyncio.ensure_future(self._say(checkpoint))
        try:
            await asyncio.wait([said], timeout=SAY_WITHIN)
            if self._then is then:
                self.forget()
                then()
            await said
        finally:
            await cancel_all([said])

    async def _say(self, checkpoint: int) -> None:
        try:
            await self._store.say_published(checkpoint)
        except LostLeadership as error:
            self.forget()
            self._shell.broken(error)
        except FlowjobError as error:
            _log.warning("the log does not say that all is published: %s", error)

    def _release(self) -> None:
        for slot in self._shell.slots():
            self._shell.send(slot, messages.ReleaseTasks())

    def _over(self, saying: asyncio.Task[None]) -> None:
        """A defect must not leave the job waiting for ever."""
        self._saying.discard(saying)
        error = None if saying.cancelled() else saying.exception()
        if isinstance(error, Exception):
            self._shell.broken(error)
