"""What a job gave, and whether it is what it should have given: exact, floats to 1e-9 of their size.

Rows are compared as bags with their time and kind; a changelog by what it leaves; where a job says so, rows of a key
also in order, or only the last of them."""

from __future__ import annotations

import math
import pickle
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from flowjob.connectors.collect import decode_report
from flowjob.plan.types import OBJECT_COLUMN
from flowjob.runtime.batch import Kind
from tests.golden.golden import Golden, Row

KIND, TIME = "__kind", "__time"
Outputs = dict[str, list[Row]]


def rows_of(message: bytes) -> list[Row]:
    """Of a report of a collecting sink: `value` is the object of an object stream."""
    batch = decode_report(message)
    if OBJECT_COLUMN in batch.columns.schema.names:
        pickled = batch.columns.column(OBJECT_COLUMN).to_pylist()
        rows: list[Row] = [{"value": pickle.loads(p)} for p in pickled]
    else:
        rows = batch.columns.to_pylist()
    times = [None] * len(rows) if batch.timestamps is None else batch.timestamps.tolist()
    kinds = [0] * len(rows) if batch.kinds is None else batch.kinds.tolist()
    return [{**row, KIND: kind, TIME: time} for row, kind, time in zip(rows, kinds, times)]


def difference(golden: Golden, expected: Outputs, got: Outputs) -> str:
    """Empty when they are equal; else what is not, a sink a line."""
    lines = []
    for sink in sorted(expected.keys() | got.keys()):
        wanted, found = expected.get(sink, []), got.get(sink, [])
        if sink in golden.timeless:
            wanted, found = ([{**r, TIME: None} for r in rows] for rows in (wanted, found))
        if sink in golden.bags:
            wanted, found = ([_bagged(row) for row in rows] for rows in (wanted, found))
        if sink in golden.last:
            wanted, found = (latest(rows, golden.last[sink]) for rows in (wanted, found))
        elif any(row.get(KIND) for row in [*wanted, *found]):
            wanted, found = left(wanted), left(found)
        elif sink in golden.order:
            columns = golden.order[sink]
            if not _same(_in_order(wanted, columns), _in_order(found, columns)):
                lines.append(
                    f"{sink}: {_shown(wanted, found) or 'rows of a key are in another order'}"
                )
            continue
        if said := _shown(wanted, found):
            lines.append(f"{sink}: {said}")
    return "\n".join(lines)


def replayed(golden: Golden, expected: Outputs, got: Outputs, replays: int) -> str:
    """Where rows may count again for each of so many replays: empty when none is lost, and none is there that is not
    one of those. Says something only of jobs whose rows do not depend on each other."""
    lines = []
    for sink in sorted(expected.keys() | got.keys()):
        wanted, found = (_counted(golden, sink, rows.get(sink, [])) for rows in (expected, got))
        lost = sorted((wanted - found).elements())
        made = [row for row, count in found.items() if count > (1 + replays) * wanted[row]]
        if lost or made:
            lines.append(f"{sink}: {len(lost)} rows lost {lost[:3]}, nobody's {made[:3]}")
    return "\n".join(lines)


def _counted(golden: Golden, sink: str, rows: Iterable[Row]) -> Counter[str]:
    if sink in golden.timeless:
        rows = [{**row, TIME: None} for row in rows]
    return Counter(_rough(dict(sorted(row.items()))) for row in rows)


def placed(outputs: Outputs, directory: str) -> Outputs:
    """With the directory's name out of every text: it is another one each time."""
    return {
        sink: [
            {k: v.replace(directory, ".") if isinstance(v, str) else v for k, v in row.items()}
            for row in rows
        ]
        for sink, rows in outputs.items()
    }


def latest(rows: Iterable[Row], columns: Sequence[str]) -> list[Row]:
    """The last row per value of the columns."""
    return list({tuple(row[c] for c in columns): row for row in rows}.values())


def left(changes: Iterable[Row]) -> list[Row]:
    """The rows that a changelog leaves. Raises AssertionError when it takes away what is not there."""
    there: Counter[str] = Counter()
    found: dict[str, Row] = {}
    for change in changes:
        row = {k: v for k, v in change.items() if k not in (KIND, TIME)}
        added = Kind(change[KIND]) in (Kind.INSERT, Kind.UPDATE_AFTER)
        key = repr(row)
        found[key] = row
        there[key] += 1 if added else -1
        assert there[key] >= 0, f"{row} is taken away, and was never there"
    return [found[key] for key in there.elements()]


def _in_order(rows: Iterable[Row], columns: Sequence[str]) -> list[Row]:
    """By key; stable."""
    return sorted(rows, key=lambda row: repr([row[c] for c in columns]))


def _shown(expected: Sequence[Row], got: Sequence[Row]) -> str:
    a, b = _sorted(expected), _sorted(got)
    if _same(a, b):
        return ""
    wanted, found = Counter(map(_rough, a)), Counter(map(_rough, b))
    lacks, more = list((wanted - found).elements()), list((found - wanted).elements())
    return f"{len(a)} rows expected, {len(b)} there; missing {lacks[:3]}, too many {more[:3]}"


def _sorted(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=_rough)


def _bagged(row: Row) -> Row:
    return {k: sorted(v, key=_rough) if isinstance(v, list) else v for k, v in row.items()}


def _rough(value: Any) -> str:
    """As text, floats rounded so much that equal ones are neighbours."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_rough(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_rough, value)) + "]"
    return f"{value}" if isinstance(value, datetime) else repr(value)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)
