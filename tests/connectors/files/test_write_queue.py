"""Batches on their way to the disk: in order, joined while they are small, held for a moment, and bounded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.connectors.files.write_queue import (
    HELD_BYTES,
    HELD_FOR,
    JOINED_ROWS,
    ROLL,
    Command,
    WriteQueue,
    joined,
)
from flowjob.runtime.env import Env
from tests.runtime.operators.harness import MockClock


def rows(first: int, end: int) -> pa.RecordBatch:
    return pa.record_batch({"n": pa.array(range(first, end), pa.int64())})


def numbers(commands: list[Command]) -> list[Any]:
    """Of all rows, and None for what is no batch."""
    return [n for c in commands for n in ([None] if c is None else c.column(0).to_pylist())]


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 40)), max_size=40),
    st.integers(1, 60).map(lambda n: 8 * n),
)
def test_joined_batches_have_the_same_rows_in_the_same_order_and_are_no_larger_than_allowed(
    sizes: list[int | None], most_bytes: int
) -> None:
    commands: list[Command] = []
    for size in sizes:
        commands.append(
            ROLL if size is None else rows(len(commands) * 100, len(commands) * 100 + size)
        )
    found = list(joined(commands, most_bytes))
    assert numbers(found) == numbers(commands)
    alone = [c.num_rows for c in commands if c is not None]
    for batch in found:
        assert batch is None or batch.nbytes <= most_bytes or batch.num_rows in alone
    assert len(found) <= len(commands)


def test_no_batch_is_joined_beyond_so_many_rows() -> None:
    found = list(joined([rows(0, JOINED_ROWS - 1), rows(0, 1), rows(0, 1)], 1 << 30))
    assert [batch.num_rows for batch in found if batch is not None] == [JOINED_ROWS, 1]


def test_dictionaries_that_differ_are_joined() -> None:
    one, other = (pa.record_batch({"k": pa.array(v).dictionary_encode()}) for v in (["a"], ["b"]))
    (found,) = joined([one, other], 1 << 20)
    assert found is not None
    assert found.column(0).to_pylist() == ["a", "b"]


@pytest.fixture
def written() -> list[list[Command]]:
    """What a worker thread was given, call by call."""
    return []


@pytest.fixture
def queue(env: Env, written: list[list[Command]]) -> WriteQueue:
    return WriteQueue(env, lambda commands, _: written.append(commands))


async def test_small_batches_wait_for_company_and_no_longer_than_a_moment(
    queue: WriteQueue, written: list[list[Command]], clock: MockClock
) -> None:
    assert queue.due is None
    began = clock.wall()
    queue.put(rows(0, 2))
    clock.set(began + HELD_FOR // 2)
    queue.put(rows(2, 3))
    assert queue.due == began + HELD_FOR
    assert written == []
    queue.flush()
    assert queue.due is None
    await queue.wait(0)
    assert [numbers(commands) for commands in written] == [[0, 1, 2]]


async def test_what_is_large_enough_does_not_wait(
    queue: WriteQueue, written: list[list[Command]]
) -> None:
    queue.put(rows(0, HELD_BYTES // 8))
    assert queue.due is None
    await queue.wait(0)
    assert len(written) == 1


async def test_what_comes_while_another_batch_is_written_waits_for_company_too(
    env: Env, clock: MockClock
) -> None:
    written: list[list[Command]] = []
    then: list[Callable[[], None]] = [lambda: queue.put(rows(5, 6))]

    async def run_blocking(function: Callable[..., Any], *arguments: Any) -> Any:
        if then:
            then.pop()()
        return function(*arguments)

    env = dataclasses.replace(env, run_blocking=run_blocking)
    queue = WriteQueue(env, lambda commands, _: written.append(commands))
    queue.put(rows(0, 1))
    queue.flush()
    await queue.wait(0)
    assert [numbers(commands) for commands in written] == [[0]]
    assert queue.due == clock.wall() + HELD_FOR
    queue.roll()
    await queue.wait(0)
    assert [numbers(commands) for commands in written] == [[0], [5, None]]


async def test_an_error_is_raised_from_every_wait_and_nothing_more_is_written(env: Env) -> None:
    calls: list[int] = []

    def fail(commands: list[Command], now: int) -> None:
        calls.append(len(commands))
        raise OSError("no space left")

    queue = WriteQueue(env, fail)
    queue.put(rows(0, 1))
    assert not queue.is_full
    queue.roll()
    for _ in range(2):
        with pytest.raises(OSError, match="no space left"):
            await queue.wait(0)
        queue.put(rows(0, HELD_BYTES))
        assert queue.is_full
    assert calls == [2]


async def test_abandoned_nothing_is_written(
    queue: WriteQueue, written: list[list[Command]]
) -> None:
    queue.put(rows(0, 1))
    await queue.abandon()
    assert queue.due is None
    queue.flush()
    await queue.wait(0)
    assert numbers([c for commands in written for c in commands]) == []
