"""Snapshots as data: state is read as tables, corrected, written, made from nothing, and operators go on from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import flowjob as fj
from flowjob.core.job_events import TaskId
from flowjob.plan.compile import compile_job
from flowjob.plan.job_graph import ChainNode
from flowjob.plan.restore import plan_restore
from flowjob.plan.state_layout import state_layouts
from flowjob.runtime.batch import Batch
from flowjob.runtime.checkpoint.manifest import Manifest, OperatorState, TaskSnapshot, VertexEntry
from flowjob.runtime.checkpoint.manifest_io import encode_manifest
from flowjob.runtime.checkpoint.restoring import Place, SnapshotReader
from flowjob.runtime.checkpoint.sections import Distribution, Section
from flowjob.runtime.checkpoint.state_files import inlined, placed, write_parts
from flowjob.runtime.checkpoint.verifying import verify_snapshot
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.operators.registry import build
from flowjob.runtime.real.stores import OpenStore, with_stores
from tests.runtime.checkpoint.snapshots import places
from tests.runtime.operators.harness import OperatorHarness
from tests.runtime.operators.rescaling import EventTime, Feed, Fleet

ACCOUNTS = [f"account {i}" for i in range(40)]


class Payment(fj.Schema):
    account: str
    amount: float


class Limit(fj.Schema):
    largest: float
    reason: str | None


class Check(fj.KeyedProcess[Payment, str]):
    """Remembers the last amount, compares with a limit."""

    last = fj.value_state(float, default=0.0)
    limit = fj.value_state(Limit, ttl=timedelta(days=1))

    def on_row(self, row: Payment, ctx: fj.Context) -> None:
        limit = self.limit.value
        allowed = "no limit" if limit is None else f"{limit.largest} {limit.reason}"
        ctx.emit(f"{row.account}: {self.last.value} before, {allowed}")
        self.last.value = row.amount


def job(name: str = "check") -> fj.Job:
    made = fj.Job("payments", max_parallelism=16)
    rows = made.read(fj.from_rows([Payment("a", 1.0)], Payment)).named("payments")
    made.write(rows.key_by("account").process(Check()).named(name), fj.discard())
    return made


def node() -> ChainNode:
    graph = compile_job(job())
    return next(n for v in graph.vertices for n in v.nodes if n.uid == "check")


def payments(amount: float) -> Batch:
    columns = {"account": ACCOUNTS, "amount": [amount + i for i in range(len(ACCOUNTS))]}
    return Batch(pa.record_batch(columns), None, None)


def written_checkpoint(root: Path, *, inline: bool = False) -> Path:
    """Of two subtasks that have seen payments of 100, 101, …"""
    fleet = Fleet(lambda: build(node().spec), 2)
    fleet.take(Feed(payments(100), keys=("account",)))
    fleet.take(EventTime(5))
    graph = compile_job(job(), parallelism=2)
    directory = root / "payments" / "checkpoints" / "3"
    directory.mkdir(parents=True)
    tasks = []
    for place, sections in zip(places(2, 16), fleet.snapshot()):
        path = directory / f"task-1-{place.subtask}.state"
        with path.open("wb") as file:
            entries = write_parts(sections, 16, place.key_groups, file)
        data = path.read_bytes()
        entries = inlined(entries, data) if inline else placed(entries, path.name)
        state = OperatorState(uid="check", name="check", kind="keyedprocess", parts=entries)
        tasks.append(TaskSnapshot(task=TaskId(1, place.subtask), operators=[state]))
    fleet.close()
    manifest = Manifest(
        id=3,
        kind="checkpoint",
        job="payments",
        run_id="r",
        created=1_700_000_000_000_000,
        max_parallelism=16,
        vertices=[VertexEntry(id=v.id, name=v.name, parallelism=2) for v in graph.vertices],
        tasks=tasks,
        operators=state_layouts(graph),
    )
    (directory / "manifest.json").write_bytes(encode_manifest(manifest))
    return directory


def went_on(path: Path, parallelism: int = 3) -> list[str]:
    """What the operator says of one more payment each, restored from the snapshot."""
    manifest = fj.read_snapshot(str(path))._manifest
    said: list[str] = []

    async def restored(open_store: OpenStore, place: Place) -> Any:
        reader = SnapshotReader(open_store(StoreLocation(str(path))), "", manifest)
        return await reader.restore(place)

    assert (
        with_stores(
            lambda open_store: verify_snapshot(open_store(StoreLocation(str(path))), "", manifest)
        )
        == []
    )
    for place in places(parallelism, 16, "check"):
        state = with_stores(lambda open_store, place=place: restored(open_store, place))
        harness = OperatorHarness(
            build(node().spec),
            subtask=place.subtask,
            parallelism=parallelism,
            max_parallelism=16,
        )
        harness.operator.restore(state)
        known = {
            a for part in state.parts("state.last") for a in part.table["key.account"].to_pylist()
        }
        known |= {
            a for part in state.parts("state.limit") for a in part.table["key.account"].to_pylist()
        }
        rows = [r for r in payments(0).columns.to_pylist() if r["account"] in known]
        if rows:
            harness.feed(Batch(pa.RecordBatch.from_pylist(rows), None, None))
            harness.flush()
        said += harness.rows
        harness.close()
    return sorted(said)


@pytest.mark.parametrize("inline", [True, False])
def test_state_of_a_checkpoint_is_read_as_tables(tmp_path: Path, inline: bool) -> None:
    snapshot = fj.read_snapshot(str(written_checkpoint(tmp_path, inline=inline)))
    assert (snapshot.job, snapshot.kind, snapshot.id) == ("payments", "checkpoint", 3)
    assert snapshot.created == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    operator = snapshot.operator("check")
    assert (operator.kind, operator.parallelism, operator.pending) == ("keyedprocess", 2, 0)
    last = operator.state("last")
    assert (last.rows, last.distribution) == (40, "keyed")
    table = last.to_arrow()
    assert table.column_names == ["key.account", "value"]
    expected = {a: 100.0 + i for i, a in enumerate(ACCOUNTS)}
    assert dict(zip(table["key.account"].to_pylist(), table["value"].to_pylist())) == expected
    assert operator.state("limit").to_arrow().num_rows == 0
    assert operator.state("time").metas


def test_the_path_of_the_manifest_means_its_directory(tmp_path: Path) -> None:
    path = written_checkpoint(tmp_path)
    assert fj.read_snapshot(f"{path}/manifest.json").id == 3
    assert fj.read_snapshot(f"{path}/").id == 3


def test_a_snapshot_says_what_it_has(tmp_path: Path) -> None:
    text = repr(fj.read_snapshot(str(written_checkpoint(tmp_path))))
    assert text.startswith("<Snapshot: checkpoint 3 of job payments, 2023-11-14 22:13:20 UTC\n")
    assert "check: keyedprocess x2: last (40 rows), limit (0 rows)" in text


def test_a_corrected_value_is_what_the_job_goes_on_with(tmp_path: Path) -> None:
    snapshot = fj.read_snapshot(str(written_checkpoint(tmp_path)))
    table = snapshot.operator("check").state("last").to_arrow()
    values = [v if v != 107.0 else 7.5 for v in table["value"].to_pylist()]
    fixed = snapshot.replacing("check", "last", table.set_column(1, "value", [values]))
    assert fixed.operator("check").state("last").rows == 40
    fj.write_snapshot(str(tmp_path / "fixed"), fixed)
    said = went_on(tmp_path / "fixed")
    assert len(said) == 40
    assert "account 7: 7.5 before, no limit" in said
    assert "account 8: 108.0 before, no limit" in said
    assert fj.read_snapshot(str(tmp_path / "fixed")).kind == "savepoint"


def test_what_is_not_replaced_is_copied_with_its_meta(tmp_path: Path) -> None:
    before = fj.read_snapshot(str(written_checkpoint(tmp_path)))
    fj.write_snapshot(str(tmp_path / "copy"), before)
    after = fj.read_snapshot(str(tmp_path / "copy"))
    for state in before.operator("check").states:
        copied = after.operator("check").state(state.name)
        assert copied.to_arrow() == state.to_arrow()
        assert copied.metas == state.metas
    assert went_on(tmp_path / "copy") == went_on(Path(tmp_path / "payments/checkpoints/3"))


def test_replacing_keeps_what_each_subtask_says_of_its_time(tmp_path: Path) -> None:
    snapshot = fj.read_snapshot(str(written_checkpoint(tmp_path)))
    table = snapshot.operator("check").state("last").to_arrow().slice(0, 1)
    fj.write_snapshot(str(tmp_path / "fixed"), snapshot.replacing("check", "last", table))
    written = fj.read_snapshot(str(tmp_path / "fixed")).operator("check")
    assert written.state("last").rows == 1
    assert [p["kind"] for p in written.state("last").metas] == ["value", "value"]
    assert len(written.state("time").metas) == 2


def test_a_job_begins_with_state_from_a_parquet_file(tmp_path: Path) -> None:
    limits = pa.table(
        {
            "account": ACCOUNTS[:10],
            "largest": [10 * i for i in range(10)],
            "reason": ["new"] * 9 + [None],
        }
    )
    pq.write_table(limits, tmp_path / "limits.parquet")
    made = fj.new_snapshot(job()).with_state(
        "check", "limit", pq.read_table(tmp_path / "limits.parquet")
    )
    fj.write_snapshot(str(tmp_path / "start"), made)
    said = went_on(tmp_path / "start")
    assert len(said) == 10
    assert "account 3: 0.0 before, 30.0 new" in said
    assert "account 9: 0.0 before, 90.0 None" in said
    manifest = fj.read_snapshot(str(tmp_path / "start"))._manifest
    plan = plan_restore(compile_job(job(), parallelism=4), manifest)
    assert "  restored  check: 10 rows of state, 1 -> 4 subtasks" in plan.lines


# -- begun with state of the engine's own making


class Reading(fj.Schema):
    sensor: str
    at: datetime
    celsius: float


HOUR = timedelta(hours=1)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)

Work = Callable[["fj.KeyedStream[Reading]"], "fj.Stream[Any]"]

KEPT: dict[str, tuple[Work, str, dict[str, list[Any]], list[dict[str, Any]]]] = {
    "windows": (
        lambda s: s.window(fj.tumbling(HOUR)).agg(n=fj.count(), mean=fj.mean("celsius")),
        "windows",
        {
            "window_start": [NOON, NOON],
            "window_end": [NOON + HOUR] * 2,
            "n": [1, 4],
            "mean": [10.0, 8.0],
            "mean.count": [1, 4],
        },
        [{"n": 2, "mean": 15.0}, {"n": 4, "mean": 2.0}],
    ),
    "panes": (
        lambda s: s.window(fj.sliding(HOUR, HOUR / 2)).agg(n=fj.count()),
        "panes",
        {"pane_start": [NOON] * 2, "pane_end": [NOON + HOUR / 2] * 2, "n": [1, 4]},
        [{"n": 1}, {"n": 1}, {"n": 2}, {"n": 4}, {"n": 4}],
    ),
    "sessions": (
        lambda s: s.window(fj.session(gap=HOUR)).agg(n=fj.count()),
        "sessions",
        {"window_start": [NOON] * 2, "window_end": [NOON + HOUR] * 2, "n": [1, 4]},
        [{"n": 2}, {"n": 4}],
    ),
    "aggregates": (
        lambda s: s.agg(n=fj.count()),
        "aggregates",
        {"n": [1, 4]},
        [{"n": 2}],
    ),
}


@pytest.mark.parametrize("kind", KEPT)
def test_windows_and_aggregates_begin_with_what_they_are_given(tmp_path: Path, kind: str) -> None:
    work, state, columns, results = KEPT[kind]
    made = fj.Job("readings", max_parallelism=16)
    rows = made.read(fj.from_rows([Reading("a", NOON, 1.0)], Reading, event_time="at"))
    made.write(work(rows.key_by("sensor")).named("kept"), fj.discard())
    start = fj.new_snapshot(made)
    names = [f.name for f in start.operator("kept").state(state).to_arrow().schema]
    assert set(columns) | {"key.sensor"} == {n for n in names if not n.startswith("__")}
    table = pa.table({"sensor": ["a", "b"], **columns})
    fj.write_snapshot(str(tmp_path), start.with_state("kept", state, table))

    graph = compile_job(made)
    manifest = fj.read_snapshot(str(tmp_path))._manifest
    assert "  restored  kept: 2 rows of state" in plan_restore(graph, manifest).lines
    (kept,) = (n for v in graph.vertices for n in v.nodes if n.uid == "kept")
    said = []
    for place in places(2, 16, "kept"):
        harness = OperatorHarness(
            build(kept.spec), subtask=place.subtask, parallelism=2, max_parallelism=16
        )

        async def restored(open_store: OpenStore, place: Place = place) -> Any:
            reader = SnapshotReader(open_store(StoreLocation(str(tmp_path))), "", manifest)
            return await reader.restore(place)

        found = with_stores(restored)
        harness.operator.restore(found)
        known = {k for part in found.parts(state) for k in part.table["key.sensor"].to_pylist()}
        if "a" in known:
            row = {"sensor": ["a"], "at": [NOON + HOUR * 3 / 4], "celsius": [20.0]}
            schema = kept.spec.input.schema
            assert schema is not None
            batch = pa.table(row).select(schema.names).cast(schema).to_batches()[0]
            times = np.array([micros(NOON + HOUR * 3 / 4)])
            harness.feed(Batch(batch, times, None))
        harness.watermark(micros(NOON + 9 * HOUR))
        said += harness.rows
        harness.close()
    kept_of = results[0].keys()
    assert sorted(({n: r[n] for n in kept_of} for r in said), key=str) == results


def micros(time: datetime) -> int:
    return int(time.timestamp()) * 1_000_000


def test_a_new_snapshot_shows_what_could_be_given() -> None:
    made = fj.new_snapshot(job())
    operator = made.operator("check")
    assert [s.name for s in operator.states] == ["last", "limit"]
    assert operator.state("limit").to_arrow().column_names == ["key.account", "value", "expires"]
    assert operator.state("timers").to_arrow().column_names[0] == "key.account"


# -- mistakes


TABLES: dict[str, tuple[pa.Table, str]] = {
    "no key": (
        pa.table({"value": [1.0]}),
        "has no column for `key.account`. Expected are key.account: string, value: double; the "
        "table has value",
    ),
    "wrong type": (
        pa.table({"account": ["a"], "value": ["x"]}),
        "column `value` has type string, not double",
    ),
    "too much": (
        pa.table({"account": ["a"], "value": [1.0], "other": [1]}),
        "has no use for column `other`",
    ),
}


@pytest.mark.parametrize("mistake", TABLES)
def test_a_table_that_cannot_be_the_state_is_refused(mistake: str) -> None:
    table, reason = TABLES[mistake]
    with pytest.raises(fj.SchemaError) as refused:
        fj.new_snapshot(job()).with_state("check", "last", table)
    assert reason in str(refused.value)
    assert str(refused.value).startswith("the table for `last` of `check`")


def test_unknown_operators_and_states_are_told_with_the_nearest_name() -> None:
    made = fj.new_snapshot(job())
    with pytest.raises(fj.SnapshotError, match=r"no operator `chek`\. Did you mean `check`"):
        made.operator("chek")
    with pytest.raises(
        fj.SnapshotError, match=r"`check` has no state `limits`\. Did you mean `limit`"
    ):
        made.operator("check").state("limits")


def test_rows_must_be_a_table(tmp_path: Path) -> None:
    start = fj.new_snapshot(job())
    rows: Any = [{"account": "a", "value": 1.0}]
    with pytest.raises(fj.errors.SchemaError, match=r"must be a pyarrow\.Table, not a list"):
        start.with_state("check", "last", rows)
    batch: Any = pa.RecordBatch.from_pylist(rows)
    assert start.with_state("check", "last", batch).operator("check").state("last").rows == 1
    no_job: Any = "job.py"
    with pytest.raises(fj.errors.TypeMismatch, match=r"takes an fj\.Job, got 'job\.py'"):
        fj.new_snapshot(no_job)


def test_places_may_be_paths(tmp_path: Path) -> None:
    fj.write_snapshot(tmp_path / "start", fj.new_snapshot(job()))
    assert fj.read_snapshot(tmp_path / "start").job == "payments"


def test_nothing_is_written_over_a_snapshot(tmp_path: Path) -> None:
    made = fj.new_snapshot(job())
    fj.write_snapshot(str(tmp_path / "a"), made)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    table = pa.table({"account": ["a"], "value": [1.0]})
    with pytest.raises(fj.SnapshotError, match="there is a snapshot in"):
        fj.write_snapshot(str(tmp_path / "a"), made.with_state("check", "last", table))
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_where_there_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(fj.SnapshotError, match="there is no snapshot in"):
        fj.read_snapshot(str(tmp_path / "nothing" / "here"))
    with pytest.raises(fj.SnapshotError, match="not the place of a snapshot"):
        fj.read_snapshot("/")


def test_damage_is_found_when_state_is_read_or_copied(tmp_path: Path) -> None:
    directory = written_checkpoint(tmp_path)
    path = directory / "task-1-0.state"
    data = bytearray(path.read_bytes())
    for at in range(700, len(data), 64):
        data[at] ^= 1
    path.write_bytes(data)
    snapshot = fj.read_snapshot(str(directory))
    with pytest.raises(fj.DamagedSnapshot, match="is damaged"):
        snapshot.operator("check").state("last").to_arrow()
    with pytest.raises(fj.DamagedSnapshot, match="is damaged"):
        fj.write_snapshot(str(tmp_path / "copy"), snapshot)
    with pytest.raises(fj.SnapshotError, match="there is no snapshot in"):
        fj.read_snapshot(str(tmp_path / "copy"))


def test_snapshots_can_be_read_where_a_loop_runs_already(tmp_path: Path) -> None:
    path = str(written_checkpoint(tmp_path))

    async def notebook() -> int:
        return int(fj.read_snapshot(path).operator("check").state("last").to_arrow().num_rows)

    assert asyncio.run(notebook()) == 40


def test_sections_that_belong_to_no_key_are_replaced_as_a_whole(tmp_path: Path) -> None:
    directory = tmp_path / "s"
    directory.mkdir()
    tasks = []
    for subtask in range(2):
        table = pa.table({"row": [subtask, subtask + 10]})
        sections = [
            Section("dealt", Distribution.SPLIT, table, meta={"of": subtask}),
            Section("same", Distribution.BROADCAST, pa.table({"row": [1]}), meta={"of": subtask}),
        ]
        with (directory / f"{subtask}").open("wb") as file:
            entries = placed(write_parts(sections, 16, range(0), file), f"{subtask}")
        state = OperatorState(uid="op", name="op", kind="other", parts=entries)
        tasks.append(TaskSnapshot(task=TaskId(0, subtask), operators=[state]))
    vertex = VertexEntry(id=0, name="op", parallelism=2)
    manifest = Manifest(
        id=1, kind="savepoint", job="j", run_id="r", created=0, max_parallelism=16,
        vertices=[vertex], tasks=tasks,
    )  # fmt: skip
    (directory / "manifest.json").write_bytes(encode_manifest(manifest))
    snapshot = fj.read_snapshot(str(directory))
    assert snapshot.operator("op").state("same").rows == 1
    changed = snapshot.replacing("op", "dealt", pa.table({"row": [7, 8, 9]}))
    changed = changed.replacing("op", "same", pa.table({"row": [2]}))
    fj.write_snapshot(str(tmp_path / "t"), changed)
    op = fj.read_snapshot(str(tmp_path / "t")).operator("op")
    assert op.state("dealt").to_arrow()["row"].to_pylist() == [7, 8, 9]
    assert [m["of"] for m in op.state("dealt").metas] == [0, 1]
    assert op.state("same").to_arrow()["row"].to_pylist() == [2]
