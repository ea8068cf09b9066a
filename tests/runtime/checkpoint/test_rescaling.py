"""What is written at one parallelism is restored at another: every row once, at its owner, in order."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.errors import SnapshotError
from flowjob.runtime.checkpoint import preparing, ranges
from flowjob.runtime.checkpoint.manifest import Manifest
from flowjob.runtime.checkpoint.restoring import Place, SnapshotReader
from flowjob.runtime.checkpoint.sections import Distribution, RestoredState, Section
from flowjob.runtime.storage.memory import MemoryStore
from tests.runtime.checkpoint.snapshots import (
    DIRECTORY,
    groups_of,
    keyed_section,
    keyed_table,
    owned_rows,
    places,
    run,
    stored,
)

SETTINGS = settings(max_examples=40, deadline=None)
LIMITS = st.sampled_from([1, 3, 7, 16, 128])


@pytest.fixture(params=["many blocks", "one block"], autouse=True)
def block_sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "many blocks":
        monkeypatch.setattr(preparing, "BLOCK_BYTES", 120)
        monkeypatch.setattr(preparing, "LEAST_BLOCK_BYTES", 40)


def restored(
    store: MemoryStore, manifest: Manifest, parallelism: int, uid: str = "op"
) -> list[RestoredState]:
    async def read() -> list[RestoredState]:
        reader = SnapshotReader(store, DIRECTORY, manifest)
        wanted = places(parallelism, manifest.max_parallelism, uid)
        return [await reader.restore(place) for place in wanted]

    return run(read())


def rows_of(state: RestoredState, section: str = "rows") -> list[int]:
    return [r for part in state.parts(section) for r in part.table["row"].to_pylist()]


@given(st.integers(0, 300), LIMITS, st.data(), st.booleans())
@SETTINGS
def test_keyed_rows_go_once_to_the_owner_of_their_key_group_and_keep_their_order(
    rows: int, max_parallelism: int, data: st.DataObject, inline: bool
) -> None:
    before = data.draw(st.integers(1, min(5, max_parallelism)))
    after = data.draw(st.integers(1, min(5, max_parallelism)))
    table = keyed_table(rows, seed=rows)
    written = [owned_rows(table, place) for place in places(before, max_parallelism)]
    store, manifest = stored([[keyed_section(t)] for t in written], max_parallelism, inline=inline)
    for place, state in zip(places(after, max_parallelism), restored(store, manifest, after)):
        own = owned_rows(table, place)
        assert sorted(rows_of(state)) == own["row"].to_pylist()
        groups = groups_of(table, max_parallelism)
        for group in set(groups[own["row"].to_pylist()].tolist()):
            of_group = [r for r in rows_of(state) if groups[r] == group]
            assert of_group == sorted(of_group)
        for part in state.parts("rows"):
            assert part.table.schema.names == ["key", "row"]
            assert {int(groups[r]) for r in part.table["row"].to_pylist()} <= set(part.groups)
        assert sorted(g for p in state.parts("rows") for g in p.groups) == list(place.key_groups)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=4), st.integers(1, 6), st.booleans())
@SETTINGS
def test_split_rows_are_dealt_out_evenly_and_each_to_one(
    sizes: list[int], after: int, inline: bool
) -> None:
    start = 0
    sections = []
    for number, size in enumerate(sizes):
        table = pa.table({"row": pa.array(range(start, start + size), pa.int64())})
        sections.append([Section("rows", Distribution.SPLIT, table, meta={"from": number})])
        start += size
    store, manifest = stored(sections, 128, inline=inline)
    states = restored(store, manifest, after)
    shares = [rows_of(state) for state in states]
    assert [row for share in shares for row in share] == list(range(start))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    metas = {part.meta["from"] for state in states for part in state.parts("rows")}
    assert metas == set(range(len(sizes)))
    empty = [p.meta["from"] for s in states for p in s.parts("rows") if not p.table.num_rows]
    assert sorted(empty) == [n for n, size in enumerate(sizes) if size == 0]


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("after", [1, 2, 5])
def test_every_subtask_gets_all_of_a_union_and_one_copy_of_a_broadcast(
    after: int, inline: bool
) -> None:
    def table(start: int) -> pa.Table:
        return pa.table({"row": list(range(start, start + 60))})

    sections = [
        [
            Section("all", Distribution.UNION, table(100 * s), meta={"of": s}),
            Section("same", Distribution.BROADCAST, table(0), meta={"rules": 60}),
        ]
        for s in range(3)
    ]
    store, manifest = stored(sections, 128, inline=inline)
    for state in restored(store, manifest, after):
        assert [p.meta["of"] for p in state.parts("all")] == [0, 1, 2]
        expected = [*range(60), *range(100, 160), *range(200, 260)]
        assert rows_of(state, "all") == expected
        assert rows_of(state, "same") == list(range(60))
        assert [p.meta for p in state.parts("same")] == [{"rules": 60}]


def test_the_meta_of_a_part_without_rows_comes_with_the_groups_it_was_about() -> None:
    empty = keyed_table(0)
    sections = [[keyed_section(empty, meta={"watermark": s})] for s in range(2)]
    store, manifest = stored(sections, 8)
    found = [
        [(part.meta["watermark"], part.groups) for part in state.parts("rows")]
        for state in restored(store, manifest, 3)
    ]
    assert found == [
        [(0, range(3))],
        [(0, range(3, 4)), (1, range(4, 6))],
        [(1, range(6, 8))],
    ]


def test_state_of_an_operator_that_the_snapshot_does_not_know_is_empty() -> None:
    store, manifest = stored([[keyed_section(keyed_table(5))]], 8)
    (state,) = restored(store, manifest, 1, uid="other")
    assert state.sections == {}
    assert state.parts("rows") == ()


def test_operators_restored_together_get_what_each_would_alone() -> None:
    table = keyed_table(200)
    store, manifest = stored([[keyed_section(table)]], 8)

    async def read() -> tuple[list[RestoredState], list[RestoredState]]:
        reader = SnapshotReader(store, DIRECTORY, manifest)
        wanted = [*places(3, 8), Place("other", 0, 1, 8)]
        return await reader.restore_all(wanted), [await reader.restore(w) for w in wanted]

    together, alone = run(read())
    assert [rows_of(s) for s in together] == [rows_of(s) for s in alone]


def test_a_subtask_reads_its_own_blocks_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "BLOCK_BYTES", 500)
    monkeypatch.setattr(preparing, "LEAST_BLOCK_BYTES", 100)
    monkeypatch.setattr(ranges, "GAP_BYTES", 0)
    store, manifest = stored([[keyed_section(keyed_table(2000))]], 16)
    (entry,) = manifest.tasks[0].operators[0].parts
    asked: list[tuple[int, int]] = []
    get = store.get

    async def counted(name: str, start: int = 0, length: int | None = None) -> bytes:
        data = await get(name, start, length)
        asked.append((start, start + len(data)))
        return data

    monkeypatch.setattr(store, "get", counted)
    read = []
    for place in places(4, 16):
        asked.clear()
        state = run(SnapshotReader(store, DIRECTORY, manifest).restore(place))
        assert len(rows_of(state)) > 100
        own = [b for b in entry.blocks if {b.first_group, b.last_group} & set(place.key_groups)]
        assert sum(stop - start for start, stop in asked) == sum(b.length for b in own)
        read.append(sum(b.length for b in own))
    assert max(read) < entry.length / 2


def test_another_max_parallelism_is_refused_with_what_to_say() -> None:
    store, manifest = stored([[keyed_section(keyed_table(5))]], 8)
    reader = SnapshotReader(store, DIRECTORY, manifest)
    with pytest.raises(SnapshotError, match=r"max_parallelism 8.*job has 16.*max_parallelism=8"):
        run(reader.restore(Place("op", 0, 1, 16)))
