"""Golden jobs that are elsewhere already: the examples, and the programs of other tests.

They are found, not listed: one that is added is golden from then on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flowjob as fj
from flowjob.entrypoint import Entrypoint, load
from tests.corpus import programs as corpus
from tests.golden.golden import Golden, Row
from tests.golden.jobs.connectors import files_of
from tests.runtime.test_task_restarts import PROGRAMS

ROOT = Path(__file__).parent.parent.parent.parent
EXAMPLES = ROOT / "examples"

ARGUMENTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "arguments": lambda d: {"words": "to be or not to be that is the question " * 4},
    "hourly_delays": lambda d: {"source": str(d / "delays" / "*.csv"), "out": str(d / "out")},
    "flights": lambda d: {"source": str(d / "flights" / "*.csv"), "out": str(d / "out")},
}


def example(path: Path) -> Golden:
    """An example as it is run from the command line."""
    name = path.stem
    arguments = ARGUMENTS.get(name, lambda d: {})

    def build(directory: Path) -> fj.Job:
        root = str(path.parent)
        return load(Entrypoint(str(path), arguments(directory), (root,)))

    return Golden(f"example_{name}", build, **{"batch": 1, "pace": 5.0, **_MORE.get(name, {})})


def write_delays(directory: Path) -> None:
    (directory / "delays").mkdir()
    for part in range(2):
        lines = ["origin,carrier,scheduled,delay"]
        for n in range(60):
            minute = n * 7 + (n * 13 % 20)
            origin = ("JFK", "EWR", "LGA")[n * n % 3]
            delay = "" if n % 9 == 4 else n * 1.5 - 20
            at = f"2024-03-0{1 + part}T{minute // 60:02}:{minute % 60:02}:00Z"
            lines.append(f"{origin},AA,{'soon' if n == 40 else at},{delay}")
        (directory / "delays" / f"{part}.csv").write_text("\n".join(lines) + "\n")


def write_flights(directory: Path) -> None:
    names = "time_hour,origin,carrier,flight,dep_time,dep_delay,air_time,distance"
    for place in ("flights", "data/flights"):
        (directory / place).mkdir(parents=True)
        for part in range(2):
            lines = [names]
            for n in range(70):
                origin = ("JFK", "EWR", "LGA")[n * n % 3]
                at = f"2013-01-{1 + part * 3 + n // 30:02}T{n % 24:02}:00:00Z"
                left = ",," if n % 12 == 5 else f"{n + 500},{n * 3 - 40},"
                lines.append(
                    f"{at},{origin},AA,{n},{left}{'' if n % 12 == 5 else 40 + n},{300 + n * 5}"
                )
            (directory / place / f"{part}.csv").write_text("\n".join(lines) + "\n")


def some_alerts(outputs: dict[str, list[Row]]) -> None:
    """Payments that come before the rules are not alerts."""
    found = sorted((r["rule"], r["account"]) for r in outputs.get("collect alerts", []))
    assert set(found) <= {("large", "anna"), ("large", "carla"), ("huge", "carla")}
    assert len(found) == len(set(found))


_MORE: dict[str, dict[str, Any]] = {
    "control_stream": {"check": some_alerts, "clocked": True},
    "hourly_delays": {"batch": 7, "pace": 1.0, "prepare": write_delays, "written": files_of},
    "flights": {"batch": 7, "pace": 1.0, "prepare": write_flights, "written": files_of},
    "quickstart": {"batch": 7, "pace": 1.0, "prepare": write_flights, "written": files_of},
    "sessions": {"last": {"collect visits": ("user", "window_start")}},
}


def of_corpus(name: str) -> Golden:
    def build(directory: Path) -> fj.Job:
        job = fj.Job(name)
        corpus.program(name)(job)
        return job

    return Golden(f"corpus_{name}", build)


def of_restarts(name: str) -> Golden:
    def build(directory: Path) -> fj.Job:
        job = fj.Job(name)
        PROGRAMS[name](job)
        return job

    return Golden(f"restarts_{name}", build)


ENDLESS = EXAMPLES / "kubernetes"
"""What is made for a cluster goes on for ever: it has no result."""


def examples() -> list[Path]:
    """Those that are whole programs."""
    found = (path for path in sorted(EXAMPLES.rglob("*.py")) if ENDLESS not in path.parents)
    return [path for path in found if "fj.Job(" in path.read_text()]


JOBS = [
    *map(example, examples()),
    *map(of_corpus, corpus.PROGRAMS),
    *map(of_restarts, PROGRAMS),
]
