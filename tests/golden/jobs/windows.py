"""Golden jobs of windows: each kind, trigger and way to compute, with rows that are late and windows of windows.

Where the wall clock decides when something is shown, only the last that is shown of a window is certain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import flowjob as fj
from flowjob import triggers
from tests.golden.golden import Golden, Row
from tests.golden.jobs.functions import AGGREGATES, Spread
from tests.golden.jobs.rows import HOUR, MINUTE, SECOND, Reading, golden, read, readings, spread


class EveryThird(fj.Trigger):
    """At each third row of a key and window, told from what it saw."""

    def on_row(self, row: Any, at: int, ctx: fj.TriggerContext) -> fj.TriggerResult:
        ctx.state["saw"] = ctx.state.get("saw", 0) + 1
        third = ctx.state["saw"] % 3 == 0
        return fj.TriggerResult.FIRE if third else fj.TriggerResult.CONTINUE

    def on_event_time(self, at: int, ctx: fj.TriggerContext) -> fj.TriggerResult:
        return fj.TriggerResult.CONTINUE


KINDS: dict[str, Any] = {
    "tumbling": fj.tumbling(HOUR),
    "shifted": fj.tumbling(HOUR, 7 * MINUTE),
    "sliding": fj.sliding(90 * MINUTE, 20 * MINUTE),
    "session": fj.session(gap=25 * MINUTE),
    "count": fj.count_window(4),
    "count_sliding": fj.count_window(5, 2),
}

TRIGGERS: dict[str, Any] = {
    "count": triggers.count(3),
    "purging": triggers.purging(triggers.count(3)),
    "continuous": fj.continuous(10 * MINUTE),
    "custom": EveryThird(),
    "event": triggers.event_time(),
}


LATEST = {"collect out": ("sensor", "window_start")}

SOME: dict[str, Any] = {"n": fj.count(), "total": fj.sum("price"), "rows": fj.collect("number")}


def aggregated(kind: str) -> Golden:
    def program(job: fj.Job) -> None:
        calls = SOME if kind in ("count_sliding", "shifted") else AGGREGATES
        windows = read(job).key_by("sensor").window(KINDS[kind]).agg(**calls).named("windows")
        job.write(windows, fj.show("out"))
        if not kind.startswith("count"):
            job.write(windows.late, fj.show("late"))

    return golden(f"window_{kind}", program)


def two_phase(kind: str) -> Golden:
    """Rows of several splits, counted before they are sent."""

    def program(job: fj.Job) -> None:
        windows = spread(job).key_by("sensor").window(KINDS[kind])
        job.write(windows.agg(n=fj.count(), mean=fj.mean("level")), fj.show("out"))

    return golden(f"two_phase_{kind}", program)


def applied(kind: str) -> Golden:
    def seen(window: fj.Window, rows: Sequence[Reading]) -> list[Any]:
        return [(window.key, window.start, window.end, [r.number for r in rows])]

    def program(job: fj.Job) -> None:
        windows = read(job).key_by("sensor").window(KINDS[kind], allowed_lateness=40 * MINUTE)
        job.write(windows.apply(seen), fj.show("out"))

    return golden(f"apply_{kind}", program)


def triggered(name: str) -> Golden:
    def program(job: fj.Job) -> None:
        window = fj.tumbling(2 * HOUR)
        windows = read(job).key_by("sensor").window(window, trigger=TRIGGERS[name])
        job.write(windows.agg(rows=fj.collect("number"), spread=Spread("value")), fj.show("out"))

    # Rows that barriers overtook come before the watermarks that were among them: what is shown early may hold more.
    last = LATEST if name == "continuous" else {}
    return golden(f"trigger_{name}", program, last=last)


def late(job: fj.Job) -> None:
    """Late rows fire their windows again, until it is too late."""
    keyed = read(job, max_delay=0 * MINUTE).key_by("sensor")
    for name in ("tumbling", "sliding", "session"):
        windows = keyed.window(KINDS[name], allowed_lateness=6 * MINUTE)
        given = windows.agg(n=fj.count(), rows=fj.collect("number")).named(name)
        job.write(given, fj.show(name))
        job.write(given.late, fj.show(f"late {name}"))


def of_all(job: fj.Job) -> None:
    hours = (
        read(job).window(fj.tumbling(HOUR)).agg(n=fj.count(), most=fj.max("value")).named("hours")
    )
    job.write(hours, fj.show("hours"))
    days = hours.window(fj.tumbling(4 * HOUR)).agg(n=fj.sum("n"), hours=fj.count()).named("days")
    job.write(days, fj.show("days"))


def global_window(job: fj.Job) -> None:
    keyed = read(job).key_by("sensor")
    windows = keyed.window(fj.global_window(), trigger=triggers.count(5))
    job.write(windows.agg(rows=fj.collect("number")), fj.show("out"))
    third = keyed.window(fj.global_window(), trigger=EveryThird()).agg(n=fj.count()).named("third")
    job.write(third, fj.show("third"))


def early(job: fj.Job) -> None:
    keyed = read(job).key_by("sensor")
    windows = keyed.window(fj.tumbling(2 * HOUR), trigger=fj.early(every=SECOND / 200))
    job.write(windows.agg(n=fj.count(), rows=fj.collect("number")), fj.show("out"))


def wall_clock(job: fj.Job) -> None:
    keyed = read(job).key_by("sensor")
    size = SECOND / 25
    job.write(
        keyed.window(fj.tumbling(size, time="processing"))
        .agg(rows=fj.collect("number"))
        .named("a"),
        fj.show("tumbling"),
    )
    job.write(
        keyed.window(fj.session(gap=size, time="processing"))
        .agg(rows=fj.collect("number"))
        .named("b"),
        fj.show("session"),
    )
    sliding = fj.sliding(2 * size, size, time="processing")
    job.write(keyed.window(sliding).agg(rows=fj.collect("number")).named("c"), fj.show("sliding"))


def each_counted(outputs: dict[str, list[Row]]) -> None:
    """Every row is in one window of its sensor, and those follow each other; in two of the sliding ones."""
    expected = Counter((r.sensor, r.number) for r in readings())
    for name, often in (("tumbling", 1), ("session", 1), ("sliding", 2)):
        rows = outputs[f"collect {name}"]
        found = Counter((row["sensor"], number) for row in rows for number in row["rows"])
        assert found == Counter(dict.fromkeys(expected, often)), name
        windows = Counter((row["sensor"], row["window_start"]) for row in rows)
        assert set(windows.values()) == {1}, name


JOBS = [
    *map(aggregated, KINDS),
    *map(two_phase, ("tumbling", "sliding", "session")),
    *map(applied, KINDS),
    *map(triggered, TRIGGERS),
    golden("late", late),
    golden("of_all", of_all),
    golden("global_window", global_window),
    golden("early", early, last=LATEST),
    golden("wall_clock", wall_clock, check=each_counted, clocked=True),
]
