"""Which consumer each row goes to: one pass over a batch, then slices.

Order is kept per consumer, and an update's two rows stay together: where their consumers (or keys) differ, the pair
becomes a delete and an insert. It must not know channels or credit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from flowjob.errors import UserCodeFailed
from flowjob.kernels.gather import gather
from flowjob.kernels.keys import encode_keys
from flowjob.kernels.partitioning import partition, partition_by, subtasks_of_groups
from flowjob.plan.job_graph import Edge, Exchange
from flowjob.runtime.batch import Batch, Int8s, Kind
from flowjob.runtime.exchange.serialization import pair_safe
from flowjob.runtime.failures import user_traceback
from flowjob.runtime.printing import shown
from flowjob.runtime.rows import RowCodec

Parts = Iterator[tuple[int, Batch]]
"""(position among the edge's consumers, rows for it), none empty."""

SMALLEST_SHARE = 128
"""Rows that are not worth dealing to several consumers."""


class Partitioner(Protocol):
    """Assigns rows to consumers."""

    def split(self, batch: Batch) -> Parts: ...


def partitioner_for(
    edge: Edge, producer: int, consumers: Sequence[int], max_parallelism: int
) -> Partitioner | None:
    """None where there is nothing to decide: one consumer."""
    count = len(consumers)
    if count == 1:
        return None
    match edge.partitioning.exchange:
        case Exchange.HASH:
            columns = [key.column for key in edge.partitioning.keys]
            return HashPartitioner(columns, max_parallelism, count)
        case Exchange.BROADCAST:
            return BroadcastPartitioner(count)
        case Exchange.REBALANCE | Exchange.RESCALE:
            return RoundRobinPartitioner(count, first=producer % count)
        case Exchange.CUSTOM:
            return CustomPartitioner(edge, producer, count)
        case other:
            raise ValueError(f"edge {edge.id}: {other.value} has one consumer, not {count}")


class HashPartitioner:
    """By key group, in one kernel pass."""

    def __init__(self, columns: Sequence[str], max_parallelism: int, consumers: int) -> None:
        self._columns = columns
        self._max_parallelism = max_parallelism
        self._consumers = consumers
        self._subtasks = subtasks_of_groups(max_parallelism, consumers)

    def split(self, batch: Batch) -> Parts:
        columns = batch.columns
        hashes = encode_keys([columns.column(name) for name in self._columns], len(batch)).hashes
        if batch.kinds is not None:
            batch = _part_updates(batch, batch.kinds, hashes)
        return _deal(
            batch, *partition(hashes, self._max_parallelism, self._consumers, self._subtasks)
        )


class BroadcastPartitioner:
    """Every row to every consumer; the same batch, by reference."""

    def __init__(self, consumers: int) -> None:
        self._consumers = range(consumers)

    def split(self, batch: Batch) -> Parts:
        return ((consumer, batch) for consumer in self._consumers)


class RoundRobinPartitioner:
    """Turn by turn, in contiguous slices: large batches are dealt to all, small ones go whole."""

    def __init__(self, consumers: int, first: int) -> None:
        self._consumers = consumers
        self._next = first
        self._half_update = False

    def split(self, batch: Batch) -> Parts:
        rows, kinds, start = len(batch), batch.kinds, 0
        if self._half_update and kinds is not None and kinds[0] == Kind.UPDATE_AFTER:
            # The other half of an update went out with the previous batch.
            start = 1
            yield (self._next - 1) % self._consumers, batch.slice(0, 1)
        self._half_update = kinds is not None and bool(kinds[-1] == Kind.UPDATE_BEFORE)
        shares = min(self._consumers, -(-rows // SMALLEST_SHARE))
        for share in range(1, shares + 1):
            stop = pair_safe(kinds, rows * share // shares)
            if stop <= start:
                continue
            target, self._next = self._next, (self._next + 1) % self._consumers
            yield target, batch if stop - start == rows else batch.slice(start, stop - start)
            start = stop


class CustomPartitioner:
    """By the user's function of each value of a column, or of each row."""

    def __init__(self, edge: Edge, producer: int, consumers: int) -> None:
        function = edge.partitioning.function
        if function is None:
            raise ValueError(f"edge {edge.id}: a custom exchange without a function")
        self._function = function
        self._column = edge.partitioning.column
        self._codec = RowCodec(edge.type) if self._column is None else None
        self._producer = producer
        self._consumers = consumers

    def split(self, batch: Batch) -> Parts:
        if self._codec is not None:
            values: Sequence[Any] = self._codec.rows(batch.columns)
        else:
            values = batch.columns.column(self._column).to_pylist()
        targets = self._targets(values)
        if batch.kinds is not None:
            batch = _part_updates(batch, batch.kinds, targets)
        return _deal(batch, *partition_by(targets, self._consumers))

    def _targets(self, values: Sequence[Any]) -> npt.NDArray[np.int32]:
        function, consumers = self._function, self._consumers
        targets = np.empty(len(values), np.int32)
        for i, value in enumerate(values):
            try:
                target = _checked(function, value, consumers)
            except BaseException as error:
                raise UserCodeFailed(
                    user_traceback=user_traceback(error),
                    operator=f"custom partitioner {getattr(function, '__name__', function)!s}",
                    row=shown(value),
                    subtask=self._producer,
                ) from error
            targets[i] = target
        return targets


def _checked(function: Callable[[Any, int], int], value: Any, consumers: int) -> int:
    target = function(value, consumers)
    if isinstance(target, bool) or not isinstance(target, (int, np.integer)):
        raise TypeError(
            f"a partitioner must return a subtask number (an int), got {target!r} of type {type(target).__name__}"
        )
    if not 0 <= target < consumers:
        raise ValueError(
            f"a partitioner returned subtask {target}, but there are {consumers}: return 0 to {consumers - 1}, "
            "for example `value % n`"
        )
    return int(target)


def _deal(batch: Batch, order: Any, offsets: npt.NDArray[np.int64]) -> Parts:
    """Rows in `order`, consumer by consumer; `offsets` says where each one's begin."""
    bounds = offsets.tolist()
    rows = bounds[-1]
    for consumer in range(len(bounds) - 1):
        if bounds[consumer + 1] - bounds[consumer] == rows:
            # All of them go to one consumer: the order is as it was.
            yield consumer, batch
            return
    sorted_batch = Batch(
        gather(batch.columns, order),
        None if batch.timestamps is None else batch.timestamps[order],
        None if batch.kinds is None else batch.kinds[order],
    )
    for consumer in range(len(bounds) - 1):
        start, stop = bounds[consumer], bounds[consumer + 1]
        if stop > start:
            yield consumer, sorted_batch.slice(start, stop - start)


def _part_updates(batch: Batch, kinds: Int8s, places: npt.NDArray[Any]) -> Batch:
    """Updates whose two rows have different `places` (hashes or consumers) become a delete and an insert."""
    broken = (
        (kinds[:-1] == Kind.UPDATE_BEFORE)
        & (kinds[1:] == Kind.UPDATE_AFTER)
        & (places[:-1] != places[1:])
    )
    if not broken.any():
        return batch
    kinds = kinds.copy()
    at = np.flatnonzero(broken)
    kinds[at] = Kind.DELETE
    kinds[at + 1] = Kind.INSERT
    return Batch(batch.columns, batch.timestamps, kinds)
