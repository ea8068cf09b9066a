"""Who gets which row: by key group, in turns, by the user's function; pairs of an update never torn apart."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.errors import UserCodeFailed
from flowjob.kernels.keys import encode_keys
from flowjob.plan.job_graph import Exchange
from flowjob.plan.types import StreamType
from flowjob.runtime.batch import Batch, Kind
from flowjob.runtime.exchange.partitioners import partitioner_for
from tests.runtime.exchange.harness import edge, numbers, sequence

PAIR = StreamType(pa.schema([("k", pa.string()), ("n", pa.int64())]))


def deal(partitioner: Any, *batches: Batch) -> dict[int, list[int]]:
    got: dict[int, list[int]] = defaultdict(list)
    for batch in batches:
        for target, part in partitioner.split(batch):
            assert len(part)
            got[target] += part.columns.column("n").to_pylist()
    return dict(got)


@pytest.mark.parametrize("exchange", list(Exchange))
def test_one_consumer_needs_no_partitioner(exchange: Exchange) -> None:
    assert partitioner_for(edge(exchange), 0, [0], 128) is None


@settings(max_examples=40)
@given(
    keys=st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=60),
    consumers=st.integers(2, 7),
    max_parallelism=st.sampled_from([7, 128]),
)
def test_hash_sends_each_key_group_to_its_subtask_in_order(
    keys: list[str | None], consumers: int, max_parallelism: int
) -> None:
    e = edge(Exchange.HASH, PAIR, keys=["k"])
    columns = pa.record_batch({"k": pa.array(keys, pa.string()), "n": np.arange(len(keys))})
    partitioner = partitioner_for(e, 0, range(consumers), max_parallelism)
    hashes = encode_keys([columns.column("k")]).hashes
    expected: dict[int, list[int]] = defaultdict(list)
    for row, value in enumerate(hashes.tolist()):
        group = (value & 0xFFFFFFFF) % max_parallelism
        expected[group * consumers // max_parallelism].append(row)
    assert deal(partitioner, Batch(columns)) == dict(expected)


def test_broadcast_gives_every_row_to_all() -> None:
    partitioner = partitioner_for(edge(Exchange.BROADCAST), 0, range(3), 128)
    assert deal(partitioner, numbers(1, 2)) == {0: [1, 2], 1: [1, 2], 2: [1, 2]}


@pytest.mark.parametrize("exchange", [Exchange.REBALANCE, Exchange.RESCALE])
def test_small_batches_go_round_and_large_ones_are_dealt_to_all(exchange: Exchange) -> None:
    partitioner = partitioner_for(edge(exchange), 1, range(3), 128)
    assert deal(partitioner, numbers(1), numbers(2), numbers(3), numbers(4)) == {
        1: [1, 4], 2: [2], 0: [3],
    }  # fmt: skip
    got = deal(partitioner, sequence(0, 3000))
    assert {target: len(rows) for target, rows in got.items()} == {0: 1000, 1: 1000, 2: 1000}
    assert all(rows == sorted(rows) for rows in got.values())


def changes(*kinds: int) -> Batch:
    return Batch(
        pa.record_batch(
            {"k": [str(i // 2) for i in range(len(kinds))], "n": np.arange(len(kinds))}
        ),
        None,
        np.array(kinds, np.int8),
    )


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=700))
def test_turns_never_part_an_update_even_across_batches(rows: list[tuple[bool, bool]]) -> None:
    kinds = [k for pair, _ in rows for k in ((1, 2) if pair else (0,))]
    cuts = [i for i, (_, cut) in enumerate(rows) if cut]
    whole = changes(*kinds)
    partitioner = partitioner_for(edge(Exchange.REBALANCE, PAIR), 0, range(3), 128)
    assert partitioner is not None
    place: dict[int, tuple[int, int]] = {}
    length: dict[int, int] = defaultdict(int)
    start = 0
    for stop in [*[c for c in cuts if 0 < c < len(kinds)], len(kinds)]:
        if stop <= start:
            continue
        for target, part in partitioner.split(whole.slice(start, stop - start)):
            for n in part.columns.column("n").to_pylist():
                place[n] = (target, length[target])
                length[target] += 1
        start = stop
    assert sorted(place) == list(range(len(kinds)))
    for row, kind in enumerate(kinds):
        if kind == Kind.UPDATE_AFTER:
            target, at = place[row - 1]
            assert place[row] == (target, at + 1)


def test_an_update_whose_key_changes_becomes_a_delete_and_an_insert() -> None:
    columns = pa.record_batch({"k": ["a", "a", "a", "b"], "n": [0, 1, 2, 3]})
    batch = Batch(columns, None, np.array([1, 2, 1, 2], np.int8))
    partitioner = partitioner_for(
        edge(Exchange.HASH, PAIR, keys=["k"], kinds=True), 0, range(2), 128
    )
    assert partitioner is not None
    kinds = {}
    for _, part in partitioner.split(batch):
        assert part.kinds is not None
        kinds |= dict(zip(part.columns.column("n").to_pylist(), part.kinds.tolist()))
    assert kinds == {0: 1, 1: 2, 2: Kind.DELETE, 3: Kind.INSERT}


def by_value(value: int, n: int) -> int:
    return value % n


def test_custom_calls_the_function_with_the_columns_value_and_the_number_of_consumers() -> None:
    e = edge(Exchange.CUSTOM, function=by_value, column="n")
    partitioner = partitioner_for(e, 0, range(3), 128)
    assert deal(partitioner, sequence(0, 7)) == {0: [0, 3, 6], 1: [1, 4], 2: [2, 5]}


def test_custom_without_a_column_gets_whole_rows() -> None:
    e = edge(Exchange.CUSTOM, function=lambda row, n: row.n % n)
    partitioner = partitioner_for(e, 0, range(2), 128)
    assert deal(partitioner, sequence(0, 5)) == {0: [0, 2, 4], 1: [1, 3]}


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda value, n: n, r"returned subtask 2, but there are 2: return 0 to 1"),
        (lambda value, n: -1, r"returned subtask -1"),
        (lambda value, n: "0", r"must return a subtask number \(an int\), got '0'"),
        (lambda value, n: 1 // 0, r"ZeroDivisionError"),
    ],
)
def test_a_wrong_answer_of_a_custom_partitioner_names_the_row(function: Any, reason: str) -> None:
    e = edge(Exchange.CUSTOM, function=function, column="n")
    partitioner = partitioner_for(e, 3, range(2), 128)
    with pytest.raises(UserCodeFailed, match=reason) as raised:
        deal(partitioner, numbers(41))
    assert raised.value.row == "41"
    assert raised.value.subtask == 3
