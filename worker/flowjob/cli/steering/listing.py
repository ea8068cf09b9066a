"""Commands that show: jobs, one job, its graph, its snapshots. Answers become tables and text for people.

Asking is choosing.py's, drawing lanes drawing.py's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from flowjob.cli.steering.choosing import one_job, steering
from flowjob.cli.steering.drawing import draw
from flowjob.cli.steering.output import ago, duration, print_json, show, size
from flowjob.cli.steering.where import Where
from flowjob.cli.tables import format_count, format_share
from flowjob.cli.terminal_text import presentable
from flowjob.client.models import Job, JobSummary, SnapshotFacts
from flowjob.cluster.job_details import Graph, VertexFacts

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

STYLES = {"Good": "green", "Progressing": "cyan", "Degraded": "yellow", "Bad": "bold red"}
"""Of a job's health."""

BUSY, SLOWED = 0.9, 0.5
"""Shares from which a vertex is marked: it is the bottleneck; what is behind it is."""


def show_jobs(where: Where, state: str | None, query: str | None, *, watch: bool) -> None:
    """All of them, of one namespace or all."""
    with steering(where) as asked:

        def found() -> list[JobSummary]:
            return list(asked.jobs(namespace=where.namespace, state=state, q=query))

        if where.json:
            print_json(found())
            return
        show(lambda: _jobs_table([presentable(one) for one in found()]), watch=watch)


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        right = name.startswith(">")
        table.add_column(name.removeprefix(">"), justify="right" if right else "left", no_wrap=True)
    return table


def _jobs_table(jobs: list[JobSummary]) -> RenderableType:
    from rich.text import Text

    if not jobs:
        return Text("no jobs")
    table = _table(
        "namespace",
        "name",
        "state",
        ">width",
        ">restarts",
        ">age",
        ">checkpoint",
        ">state size",
        "message",
    )
    for job in jobs:
        table.add_row(
            job.namespace,
            job.name,
            Text(job.state, style=STYLES.get(job.health, "")),
            str(job.parallelism or "–"),
            str(job.restarts),
            ago(job.started_at or job.created_at),
            ago(job.last_checkpoint_at),
            size(job.state_bytes),
            Text(job.message or ""),
        )
    return table


def show_status(where: Where, name: str, *, watch: bool) -> None:
    """One job, everything at a glance."""
    with one_job(where, name) as (_, job):
        if where.json:
            print_json(job.get())
            return
        show(lambda: _status_text(presentable(job.get())), watch=watch)


def _status_text(job: Job) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for label, value in _status_lines(job):
        style = STYLES.get(job.health, "") if label == "state" else ""
        grid.add_row(Text(label, style="dim"), Text(value, style=style))
    return grid


def _status_lines(job: Job) -> Iterator[tuple[str, str]]:
    yield "job", f"{job.namespace}/{job.name}"
    since = ago(job.ended_at or job.started_at)
    yield "state", f"{job.state}, {job.health}" + (f", for {since}" if since != "–" else "")
    if job.message:
        yield "wrong", job.message
    if job.error and job.error != job.message:
        yield "last error", (f"[{job.error_code}] " if job.error_code else "") + job.error
    if job.operation is not None and not job.operation.is_over:
        yield (
            "under way",
            f"{job.operation.kind}: {job.operation.progress.step or job.operation.state}",
        )
    tasks = ", ".join(f"{count} {state}" for state, count in job.tasks.items())
    yield (
        "parallelism",
        f"{job.parallelism} of at most {job.max_parallelism}"
        + (f"; tasks: {tasks}" if tasks else ""),
    )
    if job.slots.needed:
        yield (
            "slots",
            f"{job.slots.needed} needed, {job.slots.offered} offered by {job.slots.task_managers} TaskManagers",
        )
    if job.at is not None:
        yield "rates", f"{rate(job.rows_in_per_second)} in, {rate(job.rows_out_per_second)} out"
        yield (
            "load",
            f"busiest {format_share(job.busiest)}, most back-pressured {format_share(job.most_backpressured)}"
            + (
                f", event time {duration(job.lag_seconds)} behind"
                if job.lag_seconds is not None
                else ""
            ),
        )
    yield from _checkpoint_lines(job)
    yield "restarts", f"{job.restarts} after failures; attempt {job.attempt}"
    if job.final is not None:
        yield "ended with", job.final.path
    if job.image:
        yield "image", job.image
    for condition in job.conditions:
        text = f"{condition.status}, {condition.reason}"
        yield condition.type, text + (f": {condition.message}" if condition.message else "")


def _checkpoint_lines(job: Job) -> Iterator[tuple[str, str]]:
    kept = job.checkpoints
    latest = kept.latest
    if latest is not None:
        yield (
            "checkpoint",
            f"{latest.id}, {ago(latest.completed_at or None)} ago, {size(latest.bytes)}; {kept.completed} completed",
        )
    elif job.last_checkpoint_at:
        yield "checkpoint", f"{ago(job.last_checkpoint_at)} ago, {size(job.state_bytes)}"
    else:
        yield "checkpoint", "none yet"
    if kept.failed_in_a_row:
        yield (
            "failing",
            f"{kept.failed_in_a_row} checkpoints in a row: {kept.error or 'for no reason given'}",
        )


def rate(rows: float) -> str:
    return f"{format_count(rows)} rows/s"


def show_graph(where: Where, name: str, *, watch: bool) -> None:
    """Drawn in text, sources first."""
    with one_job(where, name) as (_, job):
        if where.json:
            print_json(job.graph(subtasks=True))
            return
        show(lambda: _graph_text(presentable(job.graph())), watch=watch)


def _graph_text(graph: Graph) -> RenderableType:
    from rich.text import Text

    details = {vertex.id: list(vertex_lines(vertex)) for vertex in graph.vertices}
    lines = draw(graph, details)
    width = max((len(line.lanes) for line in lines), default=0) + 1
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(
        f"{graph.name}, parallelism {graph.parallelism} of at most {graph.max_parallelism}\n\n"
    )
    for line in lines:
        text.append(line.lanes.ljust(width), style="dim")
        text.append(line.text, style=_style(line.vertex) if line.is_title else "")
        text.append("\n")
    return text


def _style(vertex: VertexFacts | None) -> str:
    if vertex is None:
        return ""
    if set(vertex.states) - {"Running", "Finished"}:
        return "bold magenta"
    if vertex.busiest >= BUSY:
        return "bold red"
    return "bold yellow" if vertex.most_backpressured >= SLOWED else "bold"


def vertex_lines(vertex: VertexFacts) -> Iterator[str]:
    """What it does now: rates, shares, time, state, what is unusual."""
    figures = vertex.figures
    ways = ["" if vertex.is_source else f"{rate(figures.rows_in_per_second)} in"]
    ways.append("" if vertex.is_sink else f"{rate(figures.rows_out_per_second)} out")
    shares = f"busy {format_share(figures.busy)}"
    if vertex.parallelism > 1 and vertex.busiest - figures.busy >= 0.1:
        shares += f" (busiest {format_share(vertex.busiest)})"
    if vertex.most_backpressured >= 0.005:
        shares += f", back-pressured {format_share(vertex.most_backpressured)}"
    parts = [way for way in ways if way] + [shares]
    if figures.lag_seconds is not None:
        parts.append(f"event time {duration(figures.lag_seconds)} behind")
    if figures.state_bytes:
        parts.append(f"state {size(figures.state_bytes)}")
    yield ", ".join(parts)
    unusual = {state: n for state, n in vertex.states.items() if state != "Running"}
    if unusual:
        yield "tasks: " + ", ".join(f"{count} {state}" for state, count in unusual.items())
    yield from _warnings(vertex)


def _warnings(vertex: VertexFacts) -> Iterator[str]:
    held, lag = vertex.held_by, vertex.source_lag
    if held is not None and held.ahead_seconds:
        yield (
            f"time is held back by [{held.vertex}] {held.name}, subtask {held.subtask}: "
            f"{duration(held.ahead_seconds)} behind the next input"
        )
    if vertex.skew >= 2 and vertex.skewed_subtask is not None:
        yield f"skewed: subtask {vertex.skewed_subtask} gets {vertex.skew:.1f} times the mean"
    if lag is not None and lag.rows:
        yield f"{format_count(lag.rows)} rows behind its source's end"
    figures = vertex.figures
    if figures.late_rows or figures.bad_rows:
        yield f"{figures.late_rows:,} late rows, {figures.bad_rows:,} bad rows"


def show_snapshots(where: Where, name: str) -> None:
    """Newest first."""
    with one_job(where, name) as (_, job):
        found = job.snapshots()
    if where.json:
        print_json(found)
        return
    show(lambda: _snapshots_table(presentable(found).snapshots), watch=False)


def _snapshots_table(snapshots: list[SnapshotFacts]) -> RenderableType:
    from rich.text import Text

    if not snapshots:
        return Text("no snapshots")
    table = _table("type", "name", "phase", ">age", ">size", "path", "")
    for one in snapshots:
        marks = [word for word, holds in (("newest", one.newest), ("in use", one.in_use)) if holds]
        table.add_row(
            one.type,
            one.name or str(one.id),
            one.phase,
            ago(one.completed_at or None),
            size(one.bytes),
            Text(one.path or one.error or ""),
            ", ".join(marks),
        )
    return table
