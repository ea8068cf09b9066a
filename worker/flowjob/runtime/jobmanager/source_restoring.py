"""What a snapshot remembers of a job's sources: which splits were read how far, by vertex.

Slots restore nothing for sources: the JobManager reads this and deals the splits anew."""

from __future__ import annotations

from flowjob.core.split_assignment import Remembered
from flowjob.plan.job_graph import JobGraph
from flowjob.plan.specs import SourceSpec
from flowjob.runtime.checkpoint.restoring import Place, SnapshotReader
from flowjob.runtime.checkpoint.source_splits import SPLITS, read_splits
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint
from flowjob.runtime.messages import WireSplit
from flowjob.runtime.storage.object_store import ObjectStore


async def remembered_splits(
    store: ObjectStore, point: RestorePoint, graph: JobGraph
) -> dict[int, Remembered[WireSplit]]:
    """Of all sources in `graph` that the snapshot knows. `store` is the one at `point.location`."""
    sources = {
        v.nodes[0].uid: v.id
        for v in graph.vertices
        if isinstance(v.nodes[0].spec, SourceSpec) and v.nodes[0].uid is not None
    }
    reader = SnapshotReader(store, point.directory, point.manifest)
    places = [Place(uid, 0, 1, graph.max_parallelism) for uid in sources]
    found: dict[int, Remembered[WireSplit]] = {}
    for vertex, state in zip(sources.values(), await reader.restore_all(places)):
        splits = read_splits(part.table for part in state.parts(SPLITS))
        found[vertex] = Remembered(tuple(splits.unfinished), frozenset(splits.finished))
    return found
