"""`python -m tests.recovery SEED`: plays one seed of the chaos tests; `--seeds N` plays many, and says what failed."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.recovery.chaos import play
from tests.recovery.places import can_mount
from tests.recovery.scenario import scenario_of

BUSY = "while True: sum(range(10**6))"


def stores(*, s3: bool) -> tuple[str, ...]:
    """Kinds of store there are on this machine."""
    with tempfile.TemporaryDirectory() as directory:
        small = ("small disk",) if can_mount(Path(directory) / "disk") else ()
    return ("directory", *small, *(("s3",) if s3 else ("moto",)))


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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.recovery")
    parser.add_argument("seed", type=int, nargs="?", help="only this one")
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--pressure", type=int, default=0, help="busy processes beside")
    parser.add_argument("--s3", action="store_true", help="a real S3 server instead of moto")
    parser.add_argument("--store", help="only this kind of store")
    parser.add_argument("--keep", action="store_true", help="leave the directory")
    given = parser.parse_args()
    alone = given.seed is not None
    seeds = [given.seed] if alone else range(given.first, given.first + given.seeds)
    kinds = (given.store,) if given.store else stores(s3=given.s3)
    failed = []
    with pressure(given.pressure):
        for seed in seeds:
            began = time.monotonic()
            found, story = play(scenario_of(seed, stores=kinds), keep=given.keep)
            seconds = time.monotonic() - began
            print(f"seed {seed}: {'FAILED' if found else 'ok'} in {seconds:.0f} s", flush=True)
            if found or alone:
                print(story, flush=True)
            for problem in found:
                print(f"  ! {problem}", flush=True)
            if found:
                failed.append(seed)
                more = f" --store {given.store!r}" if given.store else " --s3" if given.s3 else ""
                print(f"repeat: python -m tests.recovery {seed}{more}", flush=True)
    print(f"{len(failed)} of {len(seeds)} seeds failed: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
