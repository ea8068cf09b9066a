"""GroupIndex against a dict: slots, releases, growth, and keys whose hashes collide."""

from __future__ import annotations

import dataclasses
import faulthandler
import os
import resource
import signal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.kernels import group_index
from flowjob.kernels.group_index import GroupIndex
from flowjob.kernels.hash64 import hash64_reference
from flowjob.kernels.keys import EncodedKeys, encode_keys


class Model:
    """What GroupIndex promises, with a dict and a list."""

    def __init__(self) -> None:
        self.slots: dict[Any, int] = {}
        self.free: list[int] = []
        self.limit = 0

    def upsert(self, values: list[Any]) -> tuple[list[int], list[int], list[int]]:
        slots, rows, new = [], [], []
        for row, value in enumerate(values):
            if value not in self.slots:
                if self.free:
                    self.slots[value] = self.free.pop()
                else:
                    self.slots[value] = self.limit
                    self.limit += 1
                rows.append(row)
                new.append(self.slots[value])
            slots.append(self.slots[value])
        return slots, rows, new

    def release(self, values: list[Any]) -> list[int]:
        gone = [self.slots.pop(value) for value in values]
        self.free.extend(gone)
        return gone


def with_hashes(keys: EncodedKeys, spread: int) -> EncodedKeys:
    """The same keys with no more than `spread` different hashes: 1 puts all keys in one run."""
    return dataclasses.replace(keys, hashes=(keys.hashes % np.uint64(spread)) << np.uint64(32))


KINDS = {
    "fixed": (pa.int64(), st.none() | st.integers(-40, 40)),
    "bytes": (pa.string(), st.none() | st.text("abc\0", max_size=12)),
}
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["upsert", "upsert", "upsert", "find", "release", "clear", "reserve"]),
        st.data(),
    ),
    max_size=12,
)


@given(st.sampled_from(sorted(KINDS)), st.sampled_from([1, 3, 1 << 31]), ACTIONS)
@settings(deadline=None, max_examples=150)
def test_an_index_gives_the_slots_a_dict_would(kind, spread, actions):
    arrow, values = KINDS[kind]
    index, model = GroupIndex(), Model()

    def keys(batch: list[Any]) -> EncodedKeys:
        return with_hashes(encode_keys([pa.array(batch, arrow)]), spread)

    for action, data in actions:
        batch = data.draw(st.lists(values, max_size=60))
        if action == "upsert":
            done = index.upsert(keys(batch))
            expected = model.upsert(batch)
            assert tuple(a.tolist() for a in done) == expected
        elif action == "find":
            assert index.find(keys(batch)).tolist() == [model.slots.get(v, -1) for v in batch]
        elif action == "release":
            gone = model.release([v for v in dict.fromkeys(batch) if v in model.slots])
            index.release(np.array(gone, np.int64))
        elif action == "reserve":
            index.reserve(len(batch) ** 2)
        else:
            index.clear()
            model = Model()
        assert len(index) == len(model.slots)
        assert index.slot_limit == model.limit
    everything = list(model.slots)
    assert index.find(keys(everything)).tolist() == list(model.slots.values())
    stored = keys(everything).hashes.tolist()
    held = np.array(list(model.slots.values()), np.int64)
    assert index.hashes(held).tolist() == stored
    assert index.all_hashes()[held].tolist() == stored
    assert len(index.all_hashes()) == model.limit


@pytest.mark.parametrize("expected_keys", [0, 100, 1 << 15, 100_000])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_slots_are_dense_and_in_order_of_first_appearance_while_the_table_grows(
    kind, expected_keys
):
    index = GroupIndex(expected_keys)
    values = np.random.default_rng(5).integers(0, 30_000, 60_000)
    array = pa.array(values).cast(KINDS[kind][0])
    model: dict[int, int] = {}
    expected = [model.setdefault(v, len(model)) for v in values.tolist()]
    slots = [index.upsert(encode_keys([array[i : i + 999]])).slots for i in range(0, 60_000, 999)]
    assert np.concatenate(slots).tolist() == expected
    assert index.find(encode_keys([array])).tolist() == expected


def test_as_many_keys_as_were_expected_fit_without_growing():
    index = GroupIndex(5000)
    before = index.nbytes
    index.upsert(encode_keys([pa.array(np.arange(5000))]))
    assert index.nbytes == before
    index.clear()
    assert index.nbytes < before


@pytest.mark.parametrize("first", [0, 70, 9000])
def test_as_many_keys_as_room_was_made_for_fit_without_growing(first):
    index = GroupIndex()
    index.upsert(encode_keys([pa.array(np.arange(first))]))
    index.reserve(5000)
    before = index.nbytes
    index.upsert(encode_keys([pa.array(np.arange(first + 5000))]))
    assert index.nbytes == before
    assert index.find(encode_keys([pa.array([first + 4999])])).tolist() == [first + 4999]


def test_rows_of_several_columns_are_keys():
    index = GroupIndex()
    columns = [pa.array([1, 1, 2, 1, None]), pa.array(["a", "b", "a", "a", None])]
    done = index.upsert(encode_keys(columns))
    assert done.slots.tolist() == [0, 1, 2, 0, 3]
    assert done.new_rows.tolist() == [0, 1, 2, 4]
    assert index.hashes(done.new_slots).tolist() == hash64_reference(
        [(1, "a"), (1, "b"), (2, "a"), (None, None)]
    )


def test_keys_outlive_the_batch_they_came_from():
    index = GroupIndex()
    data = bytearray(b"firstsecond")
    offsets = pa.py_buffer(np.array([0, 5, 11], np.int32))
    array = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(data)])
    index.upsert(encode_keys([array]))
    data[:] = b"x" * len(data)
    assert index.find(encode_keys([pa.array(["first", "second"])])).tolist() == [0, 1]


def test_a_read_only_buffer_and_a_slice_of_one_are_taken():
    values = np.arange(10)
    values.flags.writeable = False
    array = pa.Array.from_buffers(pa.int64(), 10, [None, pa.py_buffer(values.tobytes())])
    assert GroupIndex().upsert(encode_keys([array[3:7]])).slots.tolist() == [0, 1, 2, 3]


def test_an_index_is_sized_to_its_keys_not_to_its_batches():
    index = GroupIndex()
    index.upsert(encode_keys([pa.array(np.arange(65_536) % 10)]))
    assert index.nbytes < 4096


def test_clearing_gives_the_memory_back():
    index = GroupIndex()
    empty = index.nbytes
    index.upsert(encode_keys([pa.array(np.arange(10_000))]))
    index.clear()
    assert index.nbytes == empty


def test_bytes_of_released_keys_are_reused_when_most_are_dead():
    index = GroupIndex()
    for round_ in range(200):
        keys = encode_keys([pa.array([f"round {round_} key {i} {'x' * 100}" for i in range(20)])])
        index.release(index.upsert(keys).slots)
    assert len(index) == 0
    assert index.nbytes < 32_768


@pytest.mark.parametrize("slots", [[1], [-1], [5], [0, 0]])
def test_releasing_a_slot_that_holds_no_key_is_refused(slots):
    index = GroupIndex()
    index.upsert(encode_keys([pa.array(["a", "b"])]))
    index.release(np.array([1]))
    with pytest.raises(ValueError, match="holds no key"):
        index.release(np.array(slots))


def test_keys_of_another_layout_are_refused():
    index = GroupIndex()
    index.upsert(encode_keys([pa.array([1])]))
    with pytest.raises(TypeError, match="layout"):
        index.find(encode_keys([pa.array(["a"])]))


def test_a_large_table_is_as_any_other_and_is_not_in_a_fork(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = GroupIndex()
    monkeypatch.setattr(group_index, "LARGE_TABLE", 0)
    large = GroupIndex()
    keys = encode_keys([pa.array(range(10_000))])
    for index in (small, large):
        index.upsert(keys)
    assert large.find(keys).tolist() == small.find(keys).tolist()
    child = os.fork()
    if child == 0:
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        large.hashes(np.arange(10_000))
        large.find(keys)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGSEGV
