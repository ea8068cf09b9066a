"""Check of the place where checkpoints go: can it be written, read, and does it honour conditional creation.

Bounded: a store that does not answer is a finding, not a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from flowjob.checkpointing import Checkpoints
from flowjob.cli.doctor.findings import Finding, ok, problem
from flowjob.errors import FlowjobError
from flowjob.runtime.minicluster import location_of
from flowjob.runtime.real.clock import RealRandom
from flowjob.runtime.real.stores import OpenStore, with_stores
from flowjob.runtime.storage.conditional_create import prove_conditional_create
from flowjob.runtime.storage.paths import JobPaths

WITHIN = 20.0
"""Seconds for all of it."""

PROBE = "flowjob-doctor"
"""The job that the probe would belong to."""


def checkpoints(
    place: str | None, endpoint: str | None, within: float = WITHIN
) -> Iterator[Finding]:
    """Of `place`, or of the default one."""
    name = "checkpoints"
    try:
        location = location_of(Checkpoints(location=place, endpoint=endpoint))
    except FlowjobError as error:
        yield problem(name, str(error), "docs/storage.md says what a place looks like")
        return

    async def work(open_store: OpenStore) -> None:
        await prove_conditional_create(open_store(location), JobPaths.of(PROBE), RealRandom())

    async def bounded(open_store: OpenStore) -> None:
        await asyncio.wait_for(work(open_store), within)

    try:
        with_stores(bounded)
    except TimeoutError:
        yield problem(
            name,
            f"{location.url} did not answer within {within:.0f} s",
            "Is the address right (--endpoint), and may this machine reach it?",
        )
    except FlowjobError as error:
        yield problem(name, str(error), "docs/storage.md says what a store must be able to do")
    else:
        yield ok(name, f"{location.url} can be written, and refuses to replace what is there")
