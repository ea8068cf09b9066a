"""`python -m flowjob.testing.simulation`: simulates many seeds, or shows one of them with all that happened in it.

Every failure is printed with the command that repeats it."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from time import perf_counter  # noqa: TID251 - how fast we are, for people

from flowjob.testing.simulation.run import Outcome, simulate
from flowjob.testing.simulation.scenario import scenario_of
from flowjob.testing.simulation.side_by_side import played

_Played = tuple[str, str, bool]
"""How a seed ended, what is to be told of it, and whether it failed."""


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 1 when any seed failed."""
    parser = argparse.ArgumentParser(prog="python -m flowjob.testing.simulation")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--processes", type=int, default=1, help="that play side by side")
    parser.add_argument("--stop", action="store_true", help="at the first failure")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    parser.add_argument("--kind", help="of the jobs")
    parser.add_argument("--faults", choices=["yes", "no", "seed"], default="seed")
    given = parser.parse_args(arguments)
    first, count = (given.first, given.seeds) if given.seed is None else (given.seed, 1)
    ends: Counter[str] = Counter()
    failed, began = 0, perf_counter()
    play = partial(_play, given=given)
    with played(play, range(first, first + count), given.processes) as outcomes:
        for done, (end, report, is_failure) in enumerate(outcomes, 1):
            ends[end] += 1
            failed += is_failure
            if report:
                print(report, flush=True)
            if done % 100 == 0 or done == count:
                rate = done / (perf_counter() - began)
                print(
                    f"{done} seeds, {failed} failed, {rate:.1f} per second; {dict(ends)}",
                    flush=True,
                )
            if failed and given.stop:
                break
    return 1 if failed else 0


def _play(seed: int, given: argparse.Namespace) -> _Played:
    wanted = {"yes": True, "no": False, "seed": None}[given.faults]
    outcome = simulate(scenario_of(seed, faults=wanted, kind=given.kind), tracing=given.trace)
    report = [*_trace(outcome)] if given.trace else []
    report += _report(outcome, given) if outcome.problems else []
    return _course(outcome), "\n".join(report), bool(outcome.problems)


def _course(outcome: Outcome) -> str:
    words = [outcome.end]
    words += ["after faults"] if outcome.struck else []
    words += ["after restarts"] if outcome.restarts > 0 else []
    return " ".join(words)


def _report(outcome: Outcome, given: argparse.Namespace) -> list[str]:
    command = f"python -m flowjob.testing.simulation --seed {outcome.scenario.seed}"
    if given.kind:
        command += f" --kind {given.kind}"
    if given.faults != "seed":
        command += f" --faults {given.faults}"
    problems = [f"  - {problem}" for problem in outcome.problems]
    return ["", f"FAILED {outcome.scenario}", *problems, f"  again: {command} --trace", ""]


def _trace(outcome: Outcome) -> Iterator[str]:
    yield str(outcome.scenario)
    for time, who, what in outcome.notes:
        yield f"{time:12.6f}  {who:10} {what}"
    yield (
        f"{outcome.seconds:12.6f}  over after {outcome.steps} steps: {_course(outcome)}, {outcome.rows} "
        f"rows written; fingerprint {outcome.fingerprint:012x}"
    )


if __name__ == "__main__":
    sys.exit(main())
