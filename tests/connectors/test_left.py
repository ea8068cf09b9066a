"""What sources have not read yet: told where it is known, never guessed, and never told as nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import flowjob as fj
from flowjob import files, nexmark, sockets
from flowjob.connectors.base import Left, Position, Source, Split
from flowjob.connectors.files.listing import find
from flowjob.connectors.files.parquet_blocks import ParquetFormat
from flowjob.core.split_assignment import SplitAssigner
from flowjob.runtime.env import Env
from flowjob.runtime.split_reading import left_of

SCHEMA = pa.schema([("n", pa.int64())])


async def splits_of(source: Source, env: Env) -> tuple[Split, ...]:
    return (await source.enumerator(env).discover()).splits


async def left(source: Source, env: Env) -> Left:
    """Of a source that nobody has read of."""
    return left_of(source, [(split, None) for split in await splits_of(source, env)])


async def test_generated_rows_are_known_where_there_is_an_end(env: Env) -> None:
    assert await left(fj.datagen(SCHEMA, rows=1001, splits=3), env) == Left(rows=1001)
    assert await left(fj.datagen(SCHEMA, rate=10), env) == Left()
    assert await left(fj.from_rows([{"n": 1}, {"n": 2}]), env) == Left(rows=2)


async def test_a_text_file_is_known_by_its_bytes_also_in_ranges(tmp_path: Path, env: Env) -> None:
    (tmp_path / "a.csv").write_text("n\n" + "12345\n" * 1000)
    size = (tmp_path / "a.csv").stat().st_size
    whole = files.csv(tmp_path / "*.csv", SCHEMA)
    assert await left(whole, env) == Left(bytes=size)
    ranges = files.csv(tmp_path / "*.csv", SCHEMA, multiline=False, split_bytes=1000)
    assert len(await splits_of(ranges, env)) > 3
    assert await left(ranges, env) == Left(bytes=size)


def test_row_groups_share_the_bytes_of_their_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": range(10_000)}), path, row_group_size=1000)
    (found,) = find((str(path),))
    parts = ParquetFormat().parts(found, found.size // 4)
    assert len(parts) > 2
    assert 0.99 * found.size <= sum(part["size"] for part in parts) <= found.size


async def test_of_a_socket_nothing_is_known(env: Env) -> None:
    assert await left(sockets.lines("127.0.0.1", 9), env) == Left()


async def test_of_several_splits_nothing_is_known_where_it_is_not_of_one(env: Env) -> None:
    source = fj.from_rows([{"n": 1}])
    (split,) = await splits_of(source, env)

    class Broken:
        def left(self, split: Split, position: Position | None) -> Left:
            raise KeyError("a source of somebody's own")

    class Forgetful:
        def left(self, split: Split, position: Position | None) -> Left:
            return Left() if position is None else Left(rows=1, bytes=2)

    broken: Any = Broken()
    forgetful: Any = Forgetful()
    assert left_of(broken, [(split, None)]) == Left()
    assert left_of(forgetful, [(split, {}), (split, None)]) == Left()
    assert left_of(forgetful, [(split, {}), (split, {})]) == Left(rows=2, bytes=4)
    assert left_of(broken, []) == Left(rows=0, bytes=0)


@pytest.mark.parametrize("deal", [False, True])
def test_splits_that_wait_for_a_subtask_are_those_that_are_counted(deal: bool) -> None:
    assigner: SplitAssigner[Split] = SplitAssigner(2, deal=deal)
    found = [Split(str(i), {}) for i in range(7)]
    assigner.found(found, complete=False)
    assert sorted(s.id for s in assigner.waiting) == [s.id for s in found]
    assert len(list(assigner.waiting)) == assigner.unassigned


async def test_nexmark_is_known_where_it_ends(env: Env) -> None:
    assert await left(nexmark.source(nexmark.Kind.BID, events=5000), env) == Left(rows=4600)
    assert await left(nexmark.source(events=5000), env) == Left(rows=5000)
    assert await left(nexmark.source(), env) == Left()
