"""What sinks prepared and is not known to be committed: from acknowledgements, into manifests, and to new tasks.

Pure translations between the coordinator's words and the manifest's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from flowjob.core.coordinator_events import Prepared
from flowjob.core.job_events import TaskId
from flowjob.plan.job_graph import JobGraph
from flowjob.runtime.checkpoint.manifest import Manifest, OperatorState, TaskSnapshot


def prepared_of(snapshot: TaskSnapshot) -> tuple[Prepared, ...]:
    """What a task's acknowledgement says its sinks made ready."""
    return tuple(
        Prepared(snapshot.task, state.uid, tuple(state.committables))
        for state in snapshot.operators
        if state.committables
    )


def with_carried(
    snapshots: Mapping[TaskId, TaskSnapshot], carried: Iterable[Prepared]
) -> list[TaskSnapshot]:
    """The snapshots of all tasks, in order, with what is left over from before first in line."""
    found = dict(snapshots)
    for task, sink, items in carried:
        if task in found:
            found[task] = _with_items(found[task], sink, items)
    return [found[task] for task in sorted(found)]


def published(snapshots: Mapping[TaskId, TaskSnapshot]) -> list[TaskSnapshot]:
    """The snapshots of all tasks, in order, when all that sinks prepared is visible: nothing is left to commit."""
    found: list[TaskSnapshot] = []
    for _, snapshot in sorted(snapshots.items()):
        done = [msgspec.structs.replace(s, committables=[]) for s in snapshot.operators]
        found.append(msgspec.structs.replace(snapshot, operators=done))
    return found


def _with_items(snapshot: TaskSnapshot, sink: str, items: Iterable[bytes]) -> TaskSnapshot:
    operators = list(snapshot.operators)
    for i, state in enumerate(operators):
        if state.uid == sink:
            both = list(dict.fromkeys([*items, *state.committables]))
            operators[i] = msgspec.structs.replace(state, committables=both)
            return msgspec.structs.replace(snapshot, operators=operators)
    operators.append(OperatorState(uid=sink, name=sink, kind="sink", committables=list(items)))
    return msgspec.structs.replace(snapshot, operators=operators)


def dealt(manifest: Manifest, graph: JobGraph, tasks: Collection[TaskId]) -> tuple[Prepared, ...]:
    """What a manifest's sinks have pending, for the subtasks that have their places now: those of `tasks` only."""
    sinks = {n.uid: v for v in graph.vertices for n in v.nodes if n.uid is not None}
    found: dict[tuple[TaskId, str], list[bytes]] = {}
    for snapshot in manifest.tasks:
        for prepared in prepared_of(snapshot):
            vertex = sinks.get(prepared.sink)
            if vertex is None:
                continue  # a restore without the sink was refused (plan/restore.py), or is to lose it
            task = TaskId(vertex.id, snapshot.task.subtask % vertex.parallelism)
            if task in tasks:
                found.setdefault((task, prepared.sink), []).extend(prepared.items)
    return tuple(Prepared(t, sink, tuple(items)) for (t, sink), items in sorted(found.items()))


def of_slot(prepared: Iterable[Prepared], slot: int) -> list[tuple[TaskId, str, list[bytes]]]:
    """Those of its tasks, as messages have them. Slot sharing: subtask i is in slot i."""
    return [(p.task, p.sink, list(p.items)) for p in prepared if p.task.subtask == slot]
