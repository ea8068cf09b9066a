"""`python -m flowjob.testing.simulation`: simulates many seeds, or shows one of them with all that happened in it.

Every failure is printed with the command that repeats it."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from time import perf_counter  # noqa: TID251 - how fast we are, for people

from flowjob.testing.simulation.run import Outcome, simulate
from flowjob.testing.simulation.scenario import scenario_of


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 1 when any seed failed."""
    parser = argparse.ArgumentParser(prog="python -m flowjob.testing.simulation")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--stop", action="store_true", help="at the first failure")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    parser.add_argument("--kind", help="of the jobs")
    parser.add_argument("--faults", choices=["yes", "no", "seed"], default="seed")
    given = parser.parse_args(arguments)
    wanted = {"yes": True, "no": False, "seed": None}[given.faults]
    first, count = (given.first, given.seeds) if given.seed is None else (given.seed, 1)
    ends: Counter[str] = Counter()
    failed, began = 0, perf_counter()
    for done, seed in enumerate(range(first, first + count), 1):
        scenario = scenario_of(seed, faults=wanted, kind=given.kind)
        outcome = simulate(scenario, tracing=given.trace)
        ends[_course(outcome)] += 1
        failed += bool(outcome.problems)
        if given.trace:
            _trace(outcome)
        if outcome.problems:
            _report(outcome, given)
        if done % 100 == 0 or done == count:
            rate = done / (perf_counter() - began)
            print(f"{done} seeds, {failed} failed, {rate:.1f} per second; {dict(ends)}", flush=True)
        if failed and given.stop:
            break
    return 1 if failed else 0


def _course(outcome: Outcome) -> str:
    words = [outcome.end]
    words += ["after faults"] if outcome.struck else []
    words += ["after restarts"] if outcome.restarts > 0 else []
    return " ".join(words)


def _report(outcome: Outcome, given: argparse.Namespace) -> None:
    print(f"\nFAILED {outcome.scenario}")
    for problem in outcome.problems:
        print(f"  - {problem}")
    command = f"python -m flowjob.testing.simulation --seed {outcome.scenario.seed}"
    if given.kind:
        command += f" --kind {given.kind}"
    if given.faults != "seed":
        command += f" --faults {given.faults}"
    print(f"  again: {command} --trace\n", flush=True)


def _trace(outcome: Outcome) -> None:
    print(outcome.scenario)
    for time, who, what in outcome.notes:
        print(f"{time:12.6f}  {who:10} {what}")
    print(
        f"{outcome.seconds:12.6f}  over after {outcome.steps} steps: {_course(outcome)}, {outcome.rows} "
        f"rows written; fingerprint {outcome.fingerprint:012x}"
    )


if __name__ == "__main__":
    sys.exit(main())
