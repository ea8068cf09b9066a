"""Sends OpenTelemetry from a process of a cluster, now and then: facts come from its loop, and a thread sends them.

What is sent, and whether anything is, cluster/otlp.py says. It must not know what the process is."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from flowjob.cluster.job_history import CheckpointFacts
from flowjob.cluster.metrics import Family
from flowjob.cluster.otlp import Exporter, Wanted, wanted
from flowjob.runtime.real.clock import RealClock

_log = logging.getLogger("flowjob.otlp")

LAST_WITHIN = 5.0
"""Seconds for what is sent when the process ends."""

Gather = Callable[[], tuple[Sequence[Family], Sequence[CheckpointFacts]]]


async def send_otlp(process: str, attributes: Mapping[str, str], gather: Gather) -> None:
    """Until cancelled, and once more then; returns at once where nothing is wanted."""
    what = wanted(os.environ)
    if what is None:
        return
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    if protocol != "http/protobuf":
        _log.warning("OTEL_EXPORTER_OTLP_PROTOCOL=%s is not known: http/protobuf is", protocol)
    opening = asyncio.ensure_future(asyncio.to_thread(_opened, process, attributes, what))
    try:
        exporter = await asyncio.shield(opening)
        while True:
            await asyncio.sleep(what.interval)
            await _send(exporter, gather)
    except ModuleNotFoundError as error:
        _log.warning("%s", error)
    except asyncio.CancelledError:
        with suppress(TimeoutError, ModuleNotFoundError):
            await asyncio.wait_for(_end(opening, gather), LAST_WITHIN)
        raise


async def _end(opening: asyncio.Future[Exporter], gather: Gather) -> None:
    """A process may end before the exporter was open: what it did is told nevertheless."""
    exporter = await opening
    try:
        await _send(exporter, gather)
    finally:
        await asyncio.to_thread(exporter.close)


def _opened(process: str, attributes: Mapping[str, str], what: Wanted) -> Exporter:
    """Imports take a while."""
    exporter = Exporter(process, attributes, RealClock().wall())
    exporter.open(what)
    return exporter


async def _send(exporter: Exporter, gather: Gather) -> None:
    try:
        families, checkpoints = gather()
        await asyncio.to_thread(exporter.send, families, checkpoints, RealClock().wall())
    except Exception:  # noqa: BLE001 - whoever watches a job must not end it
        _log.warning("OpenTelemetry could not be sent", exc_info=True)
