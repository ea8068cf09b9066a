"""Rows to subtasks in one pass: hash to key group to subtask, then a stable counting sort.

The group takes the hash's low 32 bits, the group index its high ones. It must not know channels or batches:
callers slice by the offsets given here."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.core import types

from flowjob.kernels.columns import Int64s, UInt64s
from flowjob.kernels.compile import I32S, I32S_OUT, I64S_OUT, U64S, helper, kernel
from flowjob.kernels.primitives import multiply_high

Int32s = npt.NDArray[np.int32]

_LOW = np.uint64(0xFFFFFFFF)
_MAX_GROUPS = 1 << 15


class Partition(NamedTuple):
    """order    int64[n]: row numbers by target, in their old order within one
    offsets  int64[parallelism + 1]: target t has order[offsets[t]:offsets[t + 1]]"""

    order: Int64s
    offsets: Int64s


@helper
def group_of(hash_: Any, reciprocal: Any, groups: Any) -> Any:
    """hash_'s low 32 bits modulo `groups`, by multiplication: Lemire, Kaser, Kurz, "Faster remainder by direct
    computation", 2019; exact for 32-bit operands with reciprocal = ⌈2**64 / groups⌉ modulo 2**64."""
    return np.int64(multiply_high(reciprocal * (hash_ & _LOW), groups))


@helper
def scatter(targets: Any, offsets: Any, order: Any) -> None:
    """From counts at offsets[t + 1]: the rows' places into `order`, the starts into `offsets`."""
    parallelism = offsets.shape[0] - 1
    for target in range(parallelism):
        offsets[target + 1] += offsets[target]
    for i in range(targets.shape[0]):
        at = offsets[targets[i]]
        order[at] = i
        offsets[targets[i]] = at + 1
    for target in range(parallelism, 0, -1):
        offsets[target] = offsets[target - 1]
    offsets[0] = 0


@kernel(types.void(U64S, types.uint64, types.uint64, I32S_OUT))
def groups_kernel(hashes: Any, reciprocal: Any, groups: Any, out: Any) -> None:
    """The key group of each hash."""
    for i in range(hashes.shape[0]):
        out[i] = np.int32(group_of(hashes[i], reciprocal, groups))


@kernel(types.void(U64S, types.uint64, types.uint64, I32S, I32S_OUT, I64S_OUT, I64S_OUT))
def partition_kernel(
    hashes: Any, reciprocal: Any, groups: Any, subtasks: Any,
    targets: Any, offsets: Any, order: Any,
) -> None:  # fmt: skip
    """Counting sort by subtasks[group]. `offsets` comes zeroed, with one element more than there are subtasks."""
    for i in range(hashes.shape[0]):
        target = subtasks[group_of(hashes[i], reciprocal, groups)]
        targets[i] = target
        offsets[target + 1] += 1
    scatter(targets, offsets, order)


@kernel(types.int64(I32S, I64S_OUT, I64S_OUT))
def sort_kernel(targets: Any, offsets: Any, order: Any) -> Any:
    """Counting sort by given targets; the first row whose target is none of them, or n."""
    parallelism = offsets.shape[0] - 1
    for i in range(targets.shape[0]):
        if targets[i] < 0 or targets[i] >= parallelism:
            return i
        offsets[targets[i] + 1] += 1
    scatter(targets, offsets, order)
    return targets.shape[0]


def key_groups(hashes: UInt64s, max_parallelism: int) -> Int32s:
    """int32[n]: the key group of each hash, 0 … max_parallelism - 1."""
    out: Int32s = np.empty(len(hashes), np.int32)
    groups_kernel(hashes, _reciprocal(max_parallelism), max_parallelism, out)
    return out


def subtasks_of_groups(max_parallelism: int, parallelism: int) -> Int32s:
    """int32[max_parallelism]: the subtask of each key group. Callers keep it: see `partition`."""
    if not 1 <= parallelism <= max_parallelism <= _MAX_GROUPS:
        raise ValueError(
            f"parallelism {parallelism} with max parallelism {max_parallelism}: "
            f"they must be 1 <= parallelism <= max parallelism <= {_MAX_GROUPS}"
        )
    groups = np.arange(max_parallelism, dtype=np.int64)
    return (groups * parallelism // max_parallelism).astype(np.int32)


def partition(
    hashes: UInt64s, max_parallelism: int, parallelism: int, subtasks: Int32s | None = None
) -> Partition:
    """Which rows go to which subtask of `parallelism`, in order.

    `subtasks` is `subtasks_of_groups(max_parallelism, parallelism)`: give it when partitioning many small batches."""
    if subtasks is None:
        subtasks = subtasks_of_groups(max_parallelism, parallelism)
    n = len(hashes)
    order: Int64s = np.empty(n, np.int64)
    offsets: Int64s = np.zeros(parallelism + 1, np.int64)
    targets: Int32s = np.empty(n, np.int32)
    partition_kernel(
        hashes, _reciprocal(max_parallelism), max_parallelism, subtasks, targets, offsets, order
    )
    return Partition(order, offsets)


def partition_by(targets: Int32s, parallelism: int) -> Partition:
    """Which rows go to which target when a custom partitioner has said: int32[n] in 0 … parallelism - 1.

    ValueError for a target outside, naming row and target."""
    order: Int64s = np.empty(len(targets), np.int64)
    offsets: Int64s = np.zeros(parallelism + 1, np.int64)
    done = sort_kernel(targets, offsets, order)
    if done < len(targets):
        raise ValueError(
            f"row {done} is sent to subtask {targets[done]}, but they are 0 … {parallelism - 1}"
        )
    return Partition(order, offsets)


def _reciprocal(groups: int) -> int:
    return (((1 << 64) - 1) // groups + 1) & ((1 << 64) - 1)
