"""Check of the place where checkpoints go: can it be written, read, and does it honour conditional creation.

Bounded: a store that does not answer is a finding, not a wait."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

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

    made = _not_yet_there(location.url)
    if made is not None:
        yield from _place_to_be(name, location.url, made)
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


def _not_yet_there(url: str) -> Path | None:
    """The directory in which one that is not there yet would be made; None for what is there, or is no directory."""
    if "://" in url or Path(url).exists():
        return None
    return next(above for above in Path(url).absolute().parents if above.exists())


def _place_to_be(name: str, url: str, above: Path) -> Iterator[Finding]:
    """Nothing is made: a doctor leaves nothing behind."""
    try:
        with tempfile.TemporaryFile(dir=above) as file:
            file.write(b"\0")
    except OSError as error:
        yield problem(
            name,
            f"{url} cannot be made: {error.strerror}",
            f"May you write in {above}? Else say --checkpoints",
        )
    else:
        yield ok(name, f"{url} is not there yet, and can be made")
