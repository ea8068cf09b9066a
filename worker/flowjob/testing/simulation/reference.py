"""What a simulated job must have written, computed from its source a row at a time in plain Python.

Compares as multisets what comes in no fixed order, and in order what does. It must not know how the job was run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from flowjob.testing.simulation.jobs import GAP, WINDOW, JobSpec

Row = dict[str, Any]

_MICROSECOND = timedelta(microseconds=1)


def given_to(spec: JobSpec, read: Mapping[tuple[int, int], int] | None = None) -> list[Row]:
    """All rows that the job's sources have, or the first ones of each (source, split)."""
    rows = [row for number in range(spec.inputs) for row in spec.given(number)]
    if read is None:
        return rows
    return [row for row in rows if row["seq"] < read.get((row["source"], row["split"]), 0)]


def problems_of(
    spec: JobSpec,
    given: list[Row],
    written: list[Row],
    *,
    in_order: bool = True,
    rescaled: bool = False,
) -> list[str]:
    """What is wrong with what was written of `given`; nothing, if it is right. `in_order`: rows of a split and key may
    not overtake each other on their way either. `rescaled`: what was pending was committed by other subtasks than
    those that had the keys from then on."""
    # A sink of its own width gets the rows of a key from several subtasks.
    # Nor is it known in which order files became visible.
    ordered = spec.sink_width == 0 and not rescaled and spec.writes == "ledger"
    match spec.kind:
        case "numbered" | "union" | "connected":
            found = _each_once(given, written)
            found += _numbers(given, written, ordered)
            if in_order and _keeps_order(spec):
                found += [f"out of order: {row}" for row in written if row["disordered"]]
        case "windows" | "timers":
            found = _difference(_tumbling(given), map(_bucket, written))
        case "cascade":
            found = _difference(_summed(given), map(_sum_of, written), "sums of windows")
        case "sessions":
            found = _difference(_sessions(given), map(_bucket, written))
        case "running":
            found = _numbers(given, written, ordered)
        case "stateless":
            found = _difference(
                (_place(r) for r in given if r["value"] > 0), (_place(r) for r in written)
            )
        case _:
            found = _each_once(given, written)
            found += _sums(given, written) if ordered else []
    return found


def missing_from(spec: JobSpec, given: list[Row], written: list[Row]) -> list[str]:
    """What a job that may count and write things twice has not written once."""
    if spec.kind in ("windows", "timers", "sessions"):
        return _uncounted(spec, given, written)
    if spec.kind == "cascade":
        return _unsummed(given, written)
    return [p for p in problems_of(spec, given, written, in_order=False) if " missing: " in p]


def _uncounted(spec: JobSpec, given: list[Row], written: list[Row]) -> list[str]:
    """Windows that nobody has seen with all their rows."""
    expected = _sessions(given) if spec.kind == "sessions" else _tumbling(given)
    most: dict[tuple[int, int], int] = defaultdict(int)
    for key, begin, rows, _ in map(_bucket, written):
        most[key, begin] = max(most[key, begin], rows)
    short = [w for w in expected if most[w[0], w[1]] < w[2]]
    return [f"{len(short)} windows without all their rows: {short[:3]}"] if short else []


def _unsummed(given: list[Row], written: list[Row]) -> list[str]:
    """Keys of which nobody has seen all windows with all rows."""
    wanted: Counter[int] = Counter(row["key"] for row in given)
    most: dict[int, int] = defaultdict(int)
    for row in written:
        most[row["key"]] = max(most[row["key"]], row["rows"])
    short = [(key, most[key], rows) for key, rows in sorted(wanted.items()) if most[key] < rows]
    return [f"{len(short)} keys without all their rows: {short[:3]}"] if short else []


def _keeps_order(spec: JobSpec) -> bool:
    """Whether rows of a split and key go through the same subtasks all the way."""
    if spec.reads != "simulated":
        return False  # what is a split there is read by several subtasks
    straight = spec.kind == "numbered" and not spec.fail_at  # keyed where they are read
    return spec.edge == "direct" and (straight or spec.source_width == 0)


def _place(row: Row) -> tuple[Any, ...]:
    return row["source"], row["split"], row["seq"], row["key"]


def _each_once(given: list[Row], written: list[Row]) -> list[str]:
    return _difference(map(_place, given), map(_place, written))


def _numbers(given: list[Row], written: list[Row], ordered: bool) -> list[str]:
    """Rows of a key are numbered from 1, without gaps."""
    counts = Counter(row["key"] for row in given)
    expected = ((key, n) for key, count in counts.items() for n in range(1, count + 1))
    found = _difference(expected, ((row["key"], row["n"]) for row in written), "(key, number)")
    if ordered and not found:
        last: dict[int, int] = defaultdict(int)
        for row in written:
            if row["n"] != last[row["key"]] + 1:
                found.append(f"number {row['n']} of key {row['key']} after {last[row['key']]}")
            last[row["key"]] = row["n"]
    return found[:5]


def _sums(given: list[Row], written: list[Row]) -> list[str]:
    """Each row holds the sum of its key so far."""
    values = {_place(row): row["value"] for row in given}
    sums: dict[int, int] = defaultdict(int)
    for row in written:
        sums[row["key"]] += values.get(_place(row), 0)
        if sums[row["key"]] != row["value"]:
            return [f"{_place(row)} has the sum {row['value']}, not {sums[row['key']]}"]
    return []


def _tumbling(given: list[Row]) -> Iterator[tuple[int, int, int, int]]:
    size = WINDOW // _MICROSECOND
    buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row in given:
        buckets[row["key"], row["at"] // size * size].append(row["value"])
    return ((key, begin, len(v), sum(v)) for (key, begin), v in buckets.items())


def _summed(given: list[Row]) -> Iterator[tuple[int, int, int, int]]:
    """Of each key the sums over its first windows: one, two, and so on."""
    sums: dict[int, tuple[int, int, int]] = {}
    for key, _, rows, total in sorted(_tumbling(given)):
        before = sums.get(key, (0, 0, 0))
        sums[key] = before[0] + 1, before[1] + rows, before[2] + total
        yield key, *sums[key]


def _sum_of(row: Row) -> tuple[int, int, int, int]:
    return row["key"], row["windows"], row["rows"], row["total"]


def _sessions(given: list[Row]) -> Iterator[tuple[int, int, int, int]]:
    gap = GAP // _MICROSECOND
    per_key: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in given:
        per_key[row["key"]].append((row["at"], row["value"]))
    for key, rows in per_key.items():
        rows.sort()
        session = rows[:1]
        for at, value in rows[1:]:
            if at - session[-1][0] > gap:
                yield key, session[0][0], len(session), sum(v for _, v in session)
                session = []
            session.append((at, value))
        yield key, session[0][0], len(session), sum(v for _, v in session)


def _bucket(row: Row) -> tuple[int, int, int, int]:
    begin = row["begin"] if "begin" in row else row["window_start"]
    if isinstance(begin, datetime):
        begin = (begin - datetime.fromtimestamp(0, begin.tzinfo)) // _MICROSECOND
    return row["key"], begin, row["rows"], row["total"]


def _difference(
    expected: Iterable[tuple[Any, ...]], got: Iterable[tuple[Any, ...]], what: str = "rows"
) -> list[str]:
    wanted, there = Counter(expected), Counter(got)
    missing, extra = wanted - there, there - wanted
    found = []
    if missing:
        found.append(f"{missing.total()} of {wanted.total()} {what} missing: {_some(missing)}")
    if extra:
        found.append(f"{extra.total()} {what} too many: {_some(extra)}")
    return found


def _some(rows: Counter[tuple[Any, ...]]) -> str:
    shown = ", ".join(str(row) for row in sorted(rows)[:3])
    return shown + (", …" if len(rows) > 3 else "")
