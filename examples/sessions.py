"""Sessions, an aggregate of one's own, early results, and a function that sees all rows of a window.

A visit ends when a user is silent for half an hour; what is known is shown every minute meanwhile.
`flowjob run examples/sessions.py`"""

import statistics
from collections.abc import Sequence
from datetime import datetime, timedelta

import flowjob as fj

GAP = timedelta(minutes=30)


class Click(fj.Schema):
    user: str
    page: str
    ms: float
    at: datetime


class Path(fj.Schema):
    user: str
    began: datetime
    pages: str


class Median(fj.Aggregate[float, list[float], float]):
    def create(self) -> list[float]:
        return []

    def add(self, acc: list[float], value: float) -> list[float]:
        acc.append(value)
        return acc

    def merge(self, a: list[float], b: list[float]) -> list[float]:
        return a + b

    def result(self, acc: list[float]) -> float:
        return statistics.median(acc)


def visits(clicks: fj.Stream[Click]) -> fj.Stream:
    return (
        clicks.key_by("user")
        .window(fj.session(gap=GAP), trigger=fj.early(every=timedelta(minutes=1)))
        .agg(clicks=fj.count(), pages=fj.count_distinct("page"), median_ms=Median("ms"))
    )


def path(window: fj.Window, clicks: Sequence[Click]) -> Path:
    """Sees all rows of a visit, in order of arrival."""
    ordered = sorted(clicks, key=lambda c: c.at)
    return Path(ordered[0].user, window.start, " > ".join(c.page for c in ordered))


def paths(clicks: fj.Stream[Click]) -> fj.Stream[Path]:
    return clicks.key_by("user").window(fj.session(gap=GAP)).apply(path, returns=Path)


START = datetime.fromisoformat("2024-03-01T12:00Z")
CLICKS = [
    Click(user, page, ms, START + timedelta(minutes=minute))
    for minute, user, page, ms in [
        (0, "anna", "home", 120.0),
        (1, "boris", "home", 80.0),
        (5, "anna", "shoes", 340.0),
        (9, "anna", "cart", 200.0),
        (70, "anna", "home", 90.0),  # a second visit: more than half an hour later
    ]
]

job = fj.Job("sessions")
clicks = job.read(fj.from_rows(CLICKS, event_time="at"))
job.write(visits(clicks), fj.show("visits"))
job.write(paths(clicks), fj.show("paths"))
