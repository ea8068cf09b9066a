"""The life of the process: standing by, leading, and the end.

A replica that leads does so until it dies. One that has lost the Lease ends at once and without a word more to the API
server (`die`): whatever it had under way may be another one's by now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn

import structlog

from flowjob_operator.identity.authority import DamagedAuthority
from flowjob_operator.process.assembly import Assembled
from flowjob_operator.process.clock import Clock
from flowjob_operator.process.cluster.api import Api, ApiError, Unreachable
from flowjob_operator.process.leading.lease import Candidate, Election, Lost
from flowjob_operator.process.settings import Settings

log: Final = structlog.get_logger("flowjob_operator")

BEAT_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 5.0


def candidate_of(settings: Settings) -> Candidate:
    return Candidate(
        namespace=settings.namespace,
        name=settings.lease,
        identity=settings.identity,
        duration=settings.lease_duration,
        renewal=settings.lease_renewal,
        retry=settings.lease_retry,
    )


class Life:
    """`die(why)` ends the process at once."""

    def __init__(
        self, parts: Assembled, api: Api, clock: Clock, die: Callable[[str], NoReturn]
    ) -> None:
        self._parts = parts
        self._clock = clock
        self._die = die
        self._election = Election(api, clock, candidate_of(parts.settings))

    async def run(self) -> None:
        """For ever: standing by, then leading. Cancelled at the end."""
        health, metrics = self._parts.health, self._parts.metrics
        beat = asyncio.create_task(self._beat())
        try:
            # A standby is ready: there is nothing that it has to have listed.
            health.surveyed = True
            metrics.leader.set(0)
            election = asyncio.create_task(self._election.acquire())
            try:
                await election
            finally:
                election.cancel()
            health.surveyed = False
            metrics.leader.set(1)
            await self._lead()
        finally:
            beat.cancel()

    async def release(self) -> None:
        """At the end of a leader that has stopped working."""
        await self._election.release()

    async def _lead(self) -> None:
        keeping = asyncio.create_task(self._keep())
        tasks = [keeping]
        try:
            await self._load_authority()
            surveyed = asyncio.Event()
            parts = self._parts
            tasks.append(self._spawn(parts.keeper.run(parts.health, parts.metrics, surveyed)))
            # Until all is known, what is not there seems to be missing.
            await surveyed.wait()
            log.info("looking after jobs", objects=parts.mirror.sizes()[0])
            work = (parts.queue.run(), parts.polls.run(), parts.events.run())
            tasks += [self._spawn(each) for each in (*work, parts.identities.maintain())]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            self._die("a part of the operator has ended")
        finally:
            # The Lease is kept until nothing is under way any more.
            for task in (*tasks[1:], keeping):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.create_task(work)

    async def _keep(self) -> None:
        try:
            await self._election.keep()
        except Lost as lost:
            self._die(f"the Lease is lost: {lost}")

    async def _load_authority(self) -> None:
        while True:
            try:
                await self._parts.identities.load()
            except (ApiError, Unreachable, DamagedAuthority) as error:
                log.error("the authority cannot be read", error=str(error))
                await self._clock.sleep(RETRY_SECONDS)
            else:
                return

    async def _beat(self) -> None:
        while True:
            self._parts.health.beat = self._clock.monotonic()
            await self._clock.sleep(BEAT_SECONDS)
