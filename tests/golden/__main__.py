"""`make golden`: every golden job, disturbed in every way. One command repeats a failure.

python -m tests.golden [--job NAME]... [--plan NAME]... [--seed N]"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter

from tests.golden.golden import golden_jobs
from tests.golden.plans import PLANS
from tests.golden.recovering import attempt


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.golden")
    parser.add_argument("--job", action="append", choices=sorted(golden_jobs()))
    parser.add_argument("--plan", action="append", choices=sorted(PLANS))
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    places = [
        (name, plan, given.seed)
        for name in given.job or golden_jobs()
        for plan in given.plan or PLANS
    ]
    began = time.monotonic()
    failed = 0
    covered: Counter[str] = Counter()
    workers = min(os.cpu_count() or 1, 4, len(places))
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        for name, plan, problems, found in pool.imap_unordered(
            attempt, places, chunksize=len(given.plan or PLANS)
        ):
            covered += found
            if problems:
                failed += 1
                again = f"python -m tests.golden --job {name} --plan '{plan}' --seed {given.seed}"
                sys.stdout.write("\n  ".join(["", f"{name}, {plan}:", *problems, again]) + "\n")
    said = ", ".join(f"{count} {what}" for what, count in covered.items())
    seconds = time.monotonic() - began
    sys.stdout.write(f"{len(places)} runs, {failed} failed, {seconds:.0f} s; {said}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
