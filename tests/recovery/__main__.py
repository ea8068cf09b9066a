"""`python -m tests.recovery SEED`: plays one seed of the chaos tests; `--seeds N` plays many, and says what failed."""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests import s3_servers
from tests.recovery.chaos import play
from tests.recovery.places import can_mount
from tests.recovery.scenario import scenario_of

BUSY = "while True: sum(range(10**6))"


def stores() -> tuple[str, ...]:
    """Kinds of store there are on this machine."""
    with tempfile.TemporaryDirectory() as directory:
        small = ("small disk",) if can_mount(Path(directory) / "disk") else ()
    return ("directory", *small, "s3" if s3_servers.has_versitygw() else "moto")


@contextlib.contextmanager
def pressure(processes: int) -> Iterator[None]:
    """That many processes that want the machine for themselves: some losses need company."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.recovery")
    parser.add_argument("seed", type=int, nargs="?", help="only this one")
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--pressure", type=int, default=0, help="busy processes beside")
    parser.add_argument("--stores", help="kinds of store to choose from, with commas; else all")
    parser.add_argument("--keep", action="store_true", help="leave the directory")
    given = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):  # also in the background: nothing may be left
        signal.signal(number, _interrupt)
    alone = given.seed is not None
    seeds = [given.seed] if alone else range(given.first, given.first + given.seeds)
    kinds = tuple(given.stores.split(",")) if given.stores else stores()
    failed = []
    with pressure(given.pressure):
        for seed in seeds:
            began = time.monotonic()
            played = play(scenario_of(seed, stores=kinds), keep=given.keep)
            seconds, found = time.monotonic() - began, played.problems
            slowest = f", slowest restart {played.slowest} s" if played.slowest else ""
            outcome = f"{'FAILED' if found else 'ok'} in {seconds:.0f} s"
            print(f"seed {seed}: {outcome} ({played.lives} runs{slowest})", flush=True)
            if found or alone:
                print(played.story, flush=True)
            for problem in found:
                print(f"  ! {problem}", flush=True)
            if found:
                failed.append(seed)
                print(f"repeat: python -m tests.recovery {seed} --stores '{','.join(kinds)}'")
    print(f"{len(failed)} of {len(seeds)} seeds failed: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
