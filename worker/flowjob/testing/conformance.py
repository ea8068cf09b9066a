"""What every source and sink must do, as suites that any connector's tests can call: `check_source`, `check_sink`.

They drive readers and writers directly, without a job, so a failure names the broken promise and not a symptom. Shipped
to users, for connectors of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from flowjob.connectors.base import BadRow, Position, Read, Sink, SinkContext, Source, Split

if TYPE_CHECKING:
    from flowjob.runtime.batch import Batch
    from flowjob.runtime.env import Env

BATCH_ROWS = (1, 7, 1000)
MOST_POSITIONS = 40
"""Resuming is tried from at most so many positions of a split, spread evenly."""


@dataclass
class _Part:
    """What reading gave: rows, bad rows, and the position after each read."""

    tables: list[pa.RecordBatch] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    after: list[tuple[int, int, Position]] = field(default_factory=list)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for t in self.tables for row in t.to_pylist()]

    def add(self, read: Read) -> None:
        self.tables.append(read.columns)
        self.bad += read.bad


async def check_source(
    source: Source,
    rows: Sequence[dict[str, Any]],
    env: Env,
    *,
    bad_rows: int = 0,
    in_order: bool = True,
    resumable: bool = True,
) -> None:
    """Check a bounded source that must give `rows` (dicts) and `bad_rows` rows that cannot be read.

    Batches keep to the schema and the asked size; splits together give every row once; reading again gives the same;
    a new reader continues exactly after any position; a projection gives the same values; a cancelled read loses
    nothing. `in_order`: splits in the order of discovery give the rows in order. `resumable` False: the system
    behind cannot be read again."""
    splits = await _discover(source, env)
    parts = [await _read_all(source, env, s, 1000) for s in splits]
    found = [row for p in parts for row in p.rows]
    _expect_rows(found, list(rows), in_order, "all splits together")
    bad = sum(len(p.bad) for p in parts)
    assert bad == bad_rows, f"expected {bad_rows} bad rows, got {bad}"
    if not resumable:
        return
    for split, part in zip(splits, parts):
        for batch_rows in BATCH_ROWS:
            again = await _read_all(source, env, split, batch_rows)
            _expect_rows(
                again.rows, part.rows, True, f"split {split.id}, {batch_rows} rows a batch"
            )
            assert again.bad == part.bad, (
                f"split {split.id}: other bad rows at {batch_rows} a batch"
            )
        await _check_positions(source, env, split)
        await _check_cancellation(source, env, split, part)
    await _check_projection(source, env, splits, found)


async def _discover(source: Source, env: Env) -> list[Split]:
    enumerator = source.enumerator(env)
    try:
        discovery = await enumerator.discover()
    finally:
        await enumerator.close()
    ids = [s.id for s in discovery.splits]
    assert len(set(ids)) == len(ids), f"split ids are not unique: {ids}"
    assert discovery.complete == source.bounded, "a bounded source is complete when discovered"
    return [_through_the_wire(s, Split) for s in discovery.splits]


def _through_the_wire(value: Any, cls: Any) -> Any:
    """Splits and positions travel between processes: they must survive msgpack."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=cls)


async def _read_all(
    source: Source, env: Env, split: Split, batch_rows: int, position: Position | None = None
) -> _Part:
    part = _Part()
    reader = source.reader(env, split, position, batch_rows)
    try:
        while (read := await reader.read()) is not None:
            _check_batch(source, read, batch_rows)
            part.add(read)
            rows = sum(t.num_rows for t in part.tables)
            part.after.append((rows, len(part.bad), _through_the_wire(reader.position(), dict)))
        assert await reader.read() is None, f"split {split.id}: the end must stay the end"
    finally:
        await reader.close()
    return part


def _check_batch(source: Source, read: Read, batch_rows: int) -> None:
    read.columns.validate(full=True)
    assert read.columns.num_rows <= batch_rows, "more rows than asked for"
    schema = source.type.schema
    if schema is not None:
        assert read.columns.schema.equals(schema), f"{read.columns.schema}\nis not\n{schema}"
    if read.timestamps is not None:
        assert len(read.timestamps) == read.columns.num_rows


async def _check_positions(source: Source, env: Env, split: Split) -> None:
    whole = await _read_all(source, env, split, 3)
    _check_left(source, split, whole)
    step = max(1, len(whole.after) // MOST_POSITIONS)
    for rows, bad, position in whole.after[::step]:
        rest = await _read_all(source, env, split, 1000, position)
        what = f"split {split.id}, continued at {position}"
        _expect_rows(rest.rows, whole.rows[rows:], True, what)
        assert rest.bad == whole.bad[bad:], f"{what}: other bad rows"


def _check_left(source: Source, split: Split, whole: _Part) -> None:
    """What is said to be left: rows exactly, bytes never more than before; or nothing is said."""
    before: int | None = None
    for rows, bad, position in [(0, 0, None), *whole.after]:
        left, what = source.left(split, position), f"split {split.id}: left at {position}"
        if left.rows is not None:
            least = len(whole.rows) - rows
            assert least <= left.rows <= least + len(whole.bad) - bad, f"{what}: {left.rows} rows"
        if left.bytes is not None:
            assert 0 <= left.bytes <= (before if before is not None else left.bytes), what
            before = left.bytes


async def _check_cancellation(source: Source, env: Env, split: Split, part: _Part) -> None:
    """Every second read is cancelled before it could finish."""
    reader = source.reader(env, split, None, 5)
    found = _Part()
    try:
        while True:
            doomed = asyncio.ensure_future(reader.read())
            await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, no time
            if not doomed.cancel() and (early := doomed.result()) is not None:
                found.add(early)
            await asyncio.gather(doomed, return_exceptions=True)
            if (read := await reader.read()) is None:
                break
            found.add(read)
    finally:
        await reader.close()
    _expect_rows(found.rows, part.rows, True, f"split {split.id}, with cancelled reads")
    assert found.bad == part.bad, f"split {split.id}: cancelled reads changed the bad rows"


async def _check_projection(
    source: Source, env: Env, splits: list[Split], rows: list[dict[str, Any]]
) -> None:
    schema = source.type.schema
    if schema is None or source.on_bad_row != "fail":
        return  # a column that is not read is not judged, so bad rows may differ
    for wanted in ((schema.names[-1],), tuple(schema.names[::2])):
        smaller = source.project(wanted)
        if smaller is None:
            return
        assert smaller.type.schema is not None
        names = smaller.type.schema.names
        assert names == [n for n in schema.names if n in names], "columns keep their order"
        assert set(wanted) <= set(names), f"projected to {wanted}, got {names}"
        parts = [await _read_all(smaller, env, s, 1000) for s in splits]
        expected = [{n: row[n] for n in names} for row in rows]
        _expect_rows([r for p in parts for r in p.rows], expected, True, f"projected to {wanted}")


def _expect_rows(found: list[Any], wanted: list[Any], in_order: bool, what: str) -> None:
    left, right = [repr(r) for r in found], [repr(r) for r in wanted]
    if not in_order:
        left.sort()
        right.sort()
    if left == right:
        return
    at = next(
        (i for i, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right))
    )
    a, b = (rows[at] if at < len(rows) else "nothing" for rows in (left, right))
    raise AssertionError(
        f"{what}: {len(left)} rows for {len(right)}; the first difference is row {at}:\n"
        f"  got      {a}\n  expected {b}"
    )


ReadBack = Callable[[], Awaitable[list[dict[str, Any]]] | list[dict[str, Any]]]
"""All rows that a reader of the sink's system can see."""


async def check_sink(
    make: Callable[[], Sink],
    batches: Sequence[Batch],
    env: Env,
    read_back: ReadBack,
    *,
    hides_until_finish: bool = True,
) -> None:
    """Check a sink that starts empty. `make` gives it anew, `read_back` what is visible in its system.

    Rows of a writer that is closed without `finish` do not show (`hides_until_finish`); after `finish` every row is
    visible once, from all subtasks; a later run adds to it and harms nothing; a writer without rows finishes too."""
    sink = make()
    type_ = _type_of(batches)
    sink.check(type_)
    if hides_until_finish:
        await _write(_context(env, type_, "failed", 0), sink, batches, finish=False)
        assert await seen(read_back) == [], "a failed writer left rows behind"
    expected: list[dict[str, Any]] = []
    for run in ("first", "second"):
        for subtask in range(2):
            share = list(batches)[subtask::2]
            await _write(_context(env, type_, run, subtask), sink, share, finish=True)
            expected += [row for b in share for row in b.columns.to_pylist()]
            _expect_rows(await seen(read_back), expected, False, f"{run} run, subtask {subtask}")
    await _write(_context(env, type_, "third", 0), sink, [], finish=True)
    _expect_rows(await seen(read_back), expected, False, "after a run without rows")


def _type_of(batches: Sequence[Batch]) -> Any:
    from flowjob.plan.types import StreamType

    return StreamType(batches[0].columns.schema)


def _context(env: Env, type_: Any, run: str, subtask: int) -> SinkContext:
    return SinkContext(env=env, type=type_, run_id=run, subtask=subtask, parallelism=2)


async def seen(read_back: ReadBack) -> list[dict[str, Any]]:
    found = read_back()
    return found if isinstance(found, list) else await found


async def _write(
    context: SinkContext, sink: Sink, batches: Sequence[Batch], *, finish: bool
) -> None:
    writer = sink.writer(context)
    try:
        await writer.open()
        for batch in batches:
            if (waiting := writer.write(batch)) is not None:
                await waiting
            due = writer.next_timer()
            if due is not None and due <= context.env.clock.wall():
                await writer.on_time(context.env.clock.wall())
        if finish:
            await writer.finish()
    finally:
        await writer.close()
