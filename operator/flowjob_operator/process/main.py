"""`python -m flowjob_operator`: settings, the world as it is, and a life in it until a signal or a lost Lease.

The only module that ends the process. Imports of what takes memory are arranged here."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import os
import platform
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Final, NoReturn

import structlog

from flowjob_operator.process.cluster.connection import (
    Connection,
    NoConnection,
    Tokens,
    find_connection,
)
from flowjob_operator.process.settings import BadSettings, Settings, read_settings
from flowjob_operator.process.telling.logs import configure

log: Final = structlog.get_logger("flowjob_operator")

EXIT_USAGE: Final = 64
EXIT_LOST: Final = 70
STOP_SECONDS: Final = 20.0


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Exit status: 0 after a signal, 64 for settings that a person has to mend, 70 when the Lease is lost."""
    try:
        settings = read_settings(arguments, environment)
        connection = find_connection(environment)
        settings = completed(settings, connection, environment)
    except (BadSettings, NoConnection) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    configure(settings.log_level, settings.log_format)
    # kopf would import the official client where it is installed, to know its classes: half of all memory, for nothing.
    sys.modules.setdefault("kubernetes", None)  # type: ignore[arg-type]
    return asyncio.run(_run(settings, connection))


def completed(
    settings: Settings, connection: Connection, environment: Mapping[str, str]
) -> Settings:
    """With what the pod knows of itself. Raises BadSettings."""
    namespace = settings.namespace or connection.namespace
    if not namespace:
        raise BadSettings(
            "namespace: outside of a pod, say in which namespace the operator's own objects are"
        )
    identity = settings.identity or environment.get("HOSTNAME") or platform.node()
    return dataclasses.replace(settings, namespace=namespace, identity=identity)


async def _run(settings: Settings, connection: Connection) -> int:
    from flowjob_operator.process.real_world import real_world
    from flowjob_operator.process.running import Life
    from flowjob_operator.process.telling.serving import serving

    stopping = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopping.set)
    log.info(
        "starting", version=own_version(), owner=settings.owner, namespaces=settings.namespaces
    )
    async with real_world(settings, connection, own_version()) as (parts, api, clock):
        # What was imported stays. Each full collection would walk it, and hold the loop for as long.
        gc.collect()
        gc.freeze()
        life = Life(parts, api, clock, die)
        async with serving(
            settings.address, settings.port, parts.health, parts.metrics, parts.refresh
        ):
            living = asyncio.create_task(life.run())
            stop = asyncio.create_task(stopping.wait())
            await asyncio.wait((living, stop), return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if living.done():
                living.result()
            log.info("stopping")
            living.cancel()
            with suppress(TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(STOP_SECONDS):
                    await asyncio.gather(living, return_exceptions=True)
                    await life.release()
    return 0


def die(why: str) -> NoReturn:
    """Nothing is finished, no handler runs: what was under way may be another one's already."""
    log.error("ending at once", why=why)
    sys.stderr.flush()
    os._exit(EXIT_LOST)


def own_version() -> str:
    try:
        return version("flowjob")
    except PackageNotFoundError:
        return ""


def own_tokens(connection: Connection) -> Tokens:
    """For the thread of the watches, which shares nothing."""
    from flowjob_operator.process.real_clock import RealClock

    return Tokens(connection, RealClock())
