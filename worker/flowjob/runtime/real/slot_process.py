"""A slot as a process: what happens between the fork and the end.

Sets the process up for one loop in one thread, then hands over to runtime/slot.py. It ends by returning a status to
the fork server's child branch, which leaves with os._exit: nothing of the fork server is torn down here."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import random
import signal
import socket
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np
import pyarrow as pa
import uvloop

from flowjob.runtime.real.control import FramedConnection
from flowjob.runtime.real.env import Security, real_env
from flowjob.runtime.real.marking_output import mark_output
from flowjob.runtime.slot import Orphaned, Slot

SWITCH_INTERVAL = 0.0005
"""Seconds a busy Python thread may keep the loop waiting; the default of 5 ms is most of a latency budget."""


def run_slot(control: int, directory: Path, identity: str | None = None) -> int:
    """`control`: descriptor of the socket to the TaskManager; `identity`: directory of certificates for the data plane.
    Returns the exit status."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.enable()  # the fork server has it off
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    sys.setswitchinterval(SWITCH_INTERVAL)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    printed = mark_output()
    pa.set_cpu_count(1)
    random.seed()
    np.random.seed()  # forked slots would otherwise all draw the same numbers
    tempfile.tempdir = str(directory)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(control, directory, identity))
    except Orphaned:
        os._exit(1)
    except SystemExit as error:
        print(f"a function called sys.exit({error.code})", file=sys.stderr)  # noqa: T201
        return error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - the TaskManager reports what is printed here
        traceback.print_exc()
        return 1
    finally:
        for stream in printed:
            stream.finish()
    return 0


async def _serve(control: int, directory: Path, identity: str | None) -> None:
    security = None if identity is None else Security(Path(identity), data_tls=True)
    connection = await FramedConnection.over(socket.socket(fileno=control))
    try:
        await Slot(real_env(directory, security), connection).run()
    except Orphaned:
        os._exit(1)  # at once: closing tasks could wait for peers that are gone too
    finally:
        await connection.close()
