"""No byte of a snapshot can change, and nothing can be missing, without it being said what is wrong and where."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.errors import DamagedSnapshot, SnapshotError
from flowjob.runtime.checkpoint import preparing
from flowjob.runtime.checkpoint.manifest import FORMAT, Manifest
from flowjob.runtime.checkpoint.manifest_io import (
    decode_manifest,
    delete_snapshot,
    digest,
    encode_manifest,
    is_unfinished_savepoint,
    list_snapshots,
    read_manifest,
    write_manifest,
)
from flowjob.runtime.checkpoint.restoring import SnapshotReader
from flowjob.runtime.checkpoint.verifying import verify_snapshot
from flowjob.runtime.storage.memory import MemoryStore
from tests.runtime.checkpoint.snapshots import (
    DIRECTORY,
    keyed_section,
    keyed_table,
    manifest_of,
    owned_rows,
    places,
    run,
    stored,
)

OBJECT = f"{DIRECTORY}/task-0"


@pytest.fixture(params=["many blocks", "one block"], autouse=True)
def block_sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "many blocks":
        monkeypatch.setattr(preparing, "BLOCK_BYTES", 600)
        monkeypatch.setattr(preparing, "LEAST_BLOCK_BYTES", 300)


def snapshot(*, inline: bool = False) -> tuple[MemoryStore, Manifest]:
    table = keyed_table(120)
    sections = [[keyed_section(owned_rows(table, place))] for place in places(2, 8)]
    return stored(sections, 8, inline=inline)


def overwrite(store: MemoryStore, name: str, data: bytes) -> None:
    run(store.put(name, data))


def flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def restore(store: MemoryStore, manifest: Manifest, parallelism: int = 1) -> list[int]:
    reader = SnapshotReader(store, DIRECTORY, manifest)
    rows = []
    for place in places(parallelism, 8):
        for part in run(reader.restore(place)).parts("rows"):
            rows += part.table["row"].to_pylist()
    return sorted(rows)


def test_a_whole_snapshot_has_no_problems() -> None:
    for inline in (True, False):
        store, manifest = snapshot(inline=inline)
        assert run(verify_snapshot(store, DIRECTORY, manifest)) == []


@given(st.data(), st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_any_changed_bit_of_a_part_is_found(data: st.DataObject, bit: int) -> None:
    store, manifest = snapshot()
    entry = manifest.tasks[0].operators[0].parts[0]
    written = run(store.get(OBJECT))
    at = data.draw(st.integers(entry.offset, entry.offset + entry.length - 1))
    overwrite(store, OBJECT, flipped(written, at, bit))
    (problem,) = run(verify_snapshot(store, DIRECTORY, manifest))
    assert OBJECT in problem
    assert "damaged" in problem


@given(st.data(), st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_restoring_never_gives_rows_from_changed_bytes(data: st.DataObject, bit: int) -> None:
    store, manifest = snapshot()
    expected = restore(store, manifest, 3)
    written = run(store.get(OBJECT))
    at = data.draw(st.integers(0, len(written) - 1))
    overwrite(store, OBJECT, flipped(written, at, bit))
    with contextlib.suppress(DamagedSnapshot):
        assert restore(store, manifest, 3) == expected  # not a byte that rows are read from


@given(st.data(), st.integers(0, 7), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_changed_bit_of_a_manifest_is_found(
    data: st.DataObject, bit: int, inline: bool
) -> None:
    written = encode_manifest(snapshot(inline=inline)[1])
    at = data.draw(st.integers(0, len(written) - 1))
    with pytest.raises(DamagedSnapshot, match=r"manifest\.json"):
        decode_manifest(flipped(written, at, bit), "manifest.json")


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_cut_off_object_is_found(data: st.DataObject) -> None:
    store, manifest = snapshot()
    written = run(store.get(OBJECT))
    overwrite(store, OBJECT, written[: data.draw(st.integers(0, len(written) - 1))])
    (problem,) = run(verify_snapshot(store, DIRECTORY, manifest))
    assert f"object {OBJECT}" in problem
    assert "cut off" in problem


def test_a_missing_object_is_found() -> None:
    store, manifest = snapshot()
    run(store.delete([OBJECT]))
    (problem,) = run(verify_snapshot(store, DIRECTORY, manifest))
    assert problem == f"object {OBJECT} of the snapshot is missing from memory://"
    with pytest.raises(DamagedSnapshot, match="is missing from memory://"):
        restore(store, manifest)


def test_damaged_inline_state_is_found() -> None:
    store, manifest = snapshot(inline=True)
    entry = manifest.tasks[1].operators[0].parts[0]
    assert entry.inline is not None
    damaged = msgspec.structs.replace(entry, inline=flipped(entry.inline, 300, 3))
    manifest.tasks[1].operators[0].parts[0] = damaged
    (problem,) = run(verify_snapshot(store, DIRECTORY, manifest))
    assert problem.startswith("section `rows` in the manifest itself is damaged")


def test_rows_of_another_writers_key_groups_are_found() -> None:
    store, manifest = snapshot()
    parts = manifest.tasks[0].operators[0].parts
    parts[0] = msgspec.structs.replace(parts[0], last_group=1)
    (problem,) = run(verify_snapshot(store, DIRECTORY, manifest))
    assert "not in the order of its key groups" in problem


def test_an_object_outside_the_store_is_refused() -> None:
    store, manifest = snapshot()
    parts = manifest.tasks[0].operators[0].parts
    parts[0] = msgspec.structs.replace(parts[0], object="../../../../etc/passwd")
    (problem,) = run(verify_snapshot(store, DIRECTORY, manifest))
    assert "names an object that cannot be" in problem


# -- manifests


@pytest.mark.parametrize("inline", [True, False])
def test_a_manifest_comes_back_as_it_was(inline: bool) -> None:
    manifest = snapshot(inline=inline)[1]
    assert decode_manifest(encode_manifest(manifest), "manifest.json") == manifest


def test_a_newer_format_is_refused_even_if_it_has_become_something_else() -> None:
    manifest = msgspec.structs.replace(snapshot()[1], format=FORMAT + 1)
    with pytest.raises(SnapshotError, match=f"has format {FORMAT + 1}.*up to {FORMAT}.*newer"):
        decode_manifest(encode_manifest(manifest), "manifest.json")


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b'{"format": 1}', b"\xff\xfe", b'{"format"'])
def test_what_is_no_manifest_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(DamagedSnapshot, match=r"manifest\.json is "):
        decode_manifest(data, "manifest.json")


def test_a_manifest_is_read_only_if_it_is_the_committed_one() -> None:
    store, manifest = snapshot()
    committed = run(write_manifest(store, DIRECTORY, manifest))
    assert run(read_manifest(store, DIRECTORY, expected=committed)) == manifest
    run(write_manifest(store, DIRECTORY, msgspec.structs.replace(manifest, run_id="other")))
    with pytest.raises(DamagedSnapshot, match="not the manifest that was committed"):
        run(read_manifest(store, DIRECTORY, expected=committed))
    assert run(read_manifest(store, DIRECTORY)).run_id == "other"


def test_the_digest_is_that_of_the_bytes() -> None:
    assert digest(b"").startswith("sha256:e3b0c442")


def test_nothing_and_an_unfinished_snapshot_are_told_apart() -> None:
    store, _ = snapshot()
    with pytest.raises(SnapshotError, match="nothing at all is there"):
        run(read_manifest(store, "job/checkpoints/8"))
    with pytest.raises(SnapshotError, match="not complete: there is job/checkpoints/7/task-0"):
        run(read_manifest(store, DIRECTORY))


# -- savepoints


def savepoint(store: MemoryStore, name: str, run_id: str = "r") -> Manifest:
    manifest = manifest_of([], 8, kind="savepoint", run_id=run_id)
    overwrite(store, f"job/savepoints/{name}/op/rows/0.arrow", b"rows")
    run(write_manifest(store, f"job/savepoints/{name}", manifest))
    return manifest


def test_a_savepoint_is_never_replaced_but_may_be_written_again() -> None:
    store = MemoryStore()
    savepoint(store, "a")
    savepoint(store, "a")
    with pytest.raises(SnapshotError, match="there is a snapshot in memory:/job/savepoints/a"):
        savepoint(store, "a", run_id="other")


def test_a_listing_tells_complete_savepoints_from_others() -> None:
    store = MemoryStore()
    savepoint(store, "a")
    savepoint(store, "c")
    overwrite(store, "job/savepoints/b/op/rows/0.arrow", b"rows")
    found = run(list_snapshots(store, "job/savepoints"))
    assert [(s.directory, s.complete, s.objects) for s in found] == [
        ("job/savepoints/a", True, 2),
        ("job/savepoints/b", False, 1),
        ("job/savepoints/c", True, 2),
    ]


def test_a_listing_tells_the_tries_at_a_checkpoint_apart() -> None:
    store = MemoryStore()
    overwrite(store, "job/checkpoints/3/g1/task-0-0-1.state", b"rows")
    overwrite(store, "job/checkpoints/3/g2/manifest.json", b"{}")
    found = run(list_snapshots(store, "job/checkpoints"))
    assert [(s.directory, s.complete) for s in found] == [
        ("job/checkpoints/3/g1", False),
        ("job/checkpoints/3/g2", True),
    ]


def test_a_place_above_snapshots_is_answered_with_where_they_are() -> None:
    store = MemoryStore()
    savepoint(store, "a")
    with pytest.raises(SnapshotError, match="Name one of them: memory:/job/savepoints/a"):
        run(read_manifest(store, "job"))


@pytest.mark.parametrize(
    ("names", "unfinished"),
    [
        (["op/rows/0.arrow", "op/state.n/1.arrow"], True),
        (["op/rows/0.arrow", "manifest.json"], False),
        (["op/rows/0.arrow", "letters/2024/mine.txt"], False),
        ([], False),
    ],
)
def test_only_what_savepoints_leave_is_taken_for_an_unfinished_one(
    names: list[str], unfinished: bool
) -> None:
    store = MemoryStore()
    for name in names:
        overwrite(store, f"s/{name}", b"rows")
    assert run(is_unfinished_savepoint(store, "s")) is unfinished
    assert not run(is_unfinished_savepoint(store, ""))


def test_deleting_a_savepoint_leaves_its_neighbours() -> None:
    store = MemoryStore()
    savepoint(store, "a")
    savepoint(store, "ab")
    assert run(delete_snapshot(store, "job/savepoints/a")) == 2
    assert [s.directory for s in run(list_snapshots(store, "job/savepoints"))] == [
        "job/savepoints/ab"
    ]
    with pytest.raises(ValueError, match="directory of its own"):
        run(delete_snapshot(store, ""))
