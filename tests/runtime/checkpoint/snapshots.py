"""Snapshots for tests: tables at random, written as tasks of some parallelism do, in a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from io import BytesIO
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from flowjob.core.job_events import TaskId
from flowjob.kernels.keys import encode_keys
from flowjob.runtime.checkpoint.manifest import (
    Manifest,
    OperatorState,
    PartEntry,
    TaskSnapshot,
    VertexEntry,
)
from flowjob.runtime.checkpoint.restoring import Place
from flowjob.runtime.checkpoint.sections import Distribution, Section
from flowjob.runtime.checkpoint.state_files import inlined, placed, write_parts
from flowjob.runtime.storage.memory import MemoryStore

T = TypeVar("T")

DIRECTORY = "job/checkpoints/7"


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def keyed_table(rows: int, *, seed: int = 0, keys: int = 50) -> pa.Table:
    """Keys of strings, and a number that says where a row was."""
    chosen = np.random.default_rng(seed).integers(0, keys, rows)
    return pa.table({"key": [f"k{k}" for k in chosen], "row": np.arange(rows)})


def hashes_of(table: pa.Table) -> Any:
    return encode_keys([table.column("key").combine_chunks()], table.num_rows).hashes


def groups_of(table: pa.Table, max_parallelism: int) -> Any:
    """By the definition, not by the kernel."""
    return (hashes_of(table) & np.uint64(0xFFFFFFFF)).astype(np.int64) % max_parallelism


def owned_rows(table: pa.Table, place: Place) -> pa.Table:
    """What a subtask holds of a job's keyed rows."""
    groups = groups_of(table, place.max_parallelism)
    owners = groups * place.parallelism // place.max_parallelism
    return table.filter(pa.array(owners == place.subtask))


def keyed_section(
    table: pa.Table, name: str = "rows", meta: Mapping[str, Any] | None = None
) -> Section:
    return Section(name, Distribution.KEYED, table, hashes_of(table), meta or {})


def places(parallelism: int, max_parallelism: int, uid: str = "op") -> list[Place]:
    return [Place(uid, s, parallelism, max_parallelism) for s in range(parallelism)]


def state_of(entries: list[PartEntry], uid: str = "op", **others: Any) -> OperatorState:
    return OperatorState(uid=uid, name=uid, kind="test", parts=entries, **others)


def manifest_of(tasks: list[TaskSnapshot], max_parallelism: int, **others: Any) -> Manifest:
    facts: dict[str, Any] = {"id": 7, "kind": "checkpoint", "job": "job", "run_id": "r"}
    return Manifest(
        **(facts | {"created": 1_700_000_000_000_000} | others),
        max_parallelism=max_parallelism,
        vertices=[VertexEntry(id=0, name="op", parallelism=max(1, len(tasks)))],
        tasks=tasks,
    )


def stored(
    sections: list[list[Section]], max_parallelism: int, *, inline: bool = False
) -> tuple[MemoryStore, Manifest]:
    """A checkpoint of the operator `op`, with the sections of each of its subtasks."""
    store = MemoryStore()
    tasks = []
    for place, found in zip(places(len(sections), max_parallelism), sections):
        file = BytesIO()
        file.write(b"another operator's part")
        entries = write_parts(found, max_parallelism, place.key_groups, file)
        if inline:
            entries = inlined(entries, file.getvalue())
        else:
            entries = placed(entries, f"task-{place.subtask}")
            run(store.put(f"{DIRECTORY}/task-{place.subtask}", file.getvalue()))
        tasks.append(TaskSnapshot(task=TaskId(0, place.subtask), operators=[state_of(entries)]))
    return store, manifest_of(tasks, max_parallelism)
