"""A PostgreSQL server of one's own: started in a directory, on a free port, gone with the test session.

`make postgres` installs the server where it is missing."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The connection string of a server that is empty."""
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not programs:
        raise RuntimeError("PostgreSQL is not installed: run `make postgres`")
    directory = Path(tempfile.mkdtemp(prefix="flowjob-postgres-"))
    port = _free_port()
    # The server refuses to run as root.
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(directory, "postgres")
    data, log = directory / "data", directory / "log"
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={directory} -c fsync=off"

    def do(program: str, *arguments: str) -> None:
        command = [*user, f"{programs[-1]}/{program}", "-D", str(data), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    try:
        do("initdb", "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-sync")
        do("pg_ctl", "-w", "-l", str(log), "-o", options, "start")
        try:
            yield f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
        finally:
            do("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
