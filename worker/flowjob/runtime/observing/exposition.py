"""What a JobManager answers on /metrics, put together: of the job, of its tasks, and of what is remembered of it.

The parts are cluster/metrics.py and cluster/remembered_metrics.py, which know no JobManager; it must not know HTTP."""

from __future__ import annotations

from flowjob.cluster.control_api import JobManagerView
from flowjob.cluster.metrics import Family, of_job, of_vertices
from flowjob.cluster.remembered_metrics import of_checkpoints, of_graph, of_latencies, of_memory
from flowjob.runtime.jobmanager.hosting import Host
from flowjob.runtime.observing.checkpoint_view import checkpoints_of
from flowjob.runtime.observing.graph_view import graph_of


def families_of(host: Host, view: JobManagerView | None, *, per_subtask: bool) -> list[Family]:
    """`view`: None where it does not lead, which is all that it tells then."""
    families = of_job(view, host.env.clock.wall() / 1e6)
    manager, observer = host.manager, host.observer
    if view is None or manager is None or observer.request is None:
        return families
    names = [vertex.name for vertex in manager.tenure.request.graph.vertices]
    tasks = {(t.vertex, t.subtask): values for t, values in manager.metrics().items()}
    return [
        *families,
        *of_vertices(observer.former.with_former(tasks), names, per_subtask=per_subtask),
        *of_graph(graph_of(observer, subtasks=False)),
        *of_latencies(observer.latencies.shown, names),
        *of_checkpoints(checkpoints_of(observer)),
        *of_memory(exceptions=observer.exceptions.count, lines_dropped=observer.logs.dropped),
    ]
