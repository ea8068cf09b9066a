"""`flowjob run`: a job on this machine, its progress on stderr, what it shows and prints on stdout.

Binds the local cluster's callbacks to the view; the cluster itself is runtime/minicluster.py."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flowjob.cli.checkpoint_options import CheckpointOptions
from flowjob.cli.progress import ProgressModel, TaskTotals, VertexInfo
from flowjob.cli.progress_view import LiveView, NoView, PlainView, ProgressView
from flowjob.cli.results import ShownTables
from flowjob.entrypoint import load, locate
from flowjob.plan import compile_job
from flowjob.runtime.jobmanager.request import WorkersLost
from flowjob.runtime.minicluster import from_script, run_local

if TYPE_CHECKING:
    from flowjob.cli.web import Web
    from flowjob.job import Job
    from flowjob.runtime.env import OwnedProcess
    from flowjob.runtime.jobmanager.request import JobEvent, JobMetrics


PIPED_WIDTH = 200
"""Columns of a table that goes to a file or a pipe: it is cut nowhere that matters."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line said about the run, and not about the job."""

    parallelism: int = 1
    batch_rows: int | None = None
    progress: bool = True
    show: int = 20
    checkpoints: CheckpointOptions = field(default_factory=CheckpointOptions)
    web: Web | None = None


def run_job(
    target: str,
    arguments: Mapping[str, str],
    options: RunOptions,
    taskmanagers: Sequence[OwnedProcess],
) -> None:
    """Runs the job to its end in `taskmanagers`, which have been started, and shows its tables.

    Raises FlowjobError. Whatever happens, the caller ends the processes."""
    started = time.monotonic()
    entrypoint = locate(target, arguments, Path.cwd())
    job = load(entrypoint)
    screen = Screen.of(job, options, started)
    if options.web is not None:
        options.web.announce()
    limits = {} if options.batch_rows is None else {"batch_rows": options.batch_rows}
    try:
        run_local(
            job,
            parallelism=options.parallelism,
            taskmanagers=len(taskmanagers),
            source=from_script(entrypoint.target, entrypoint.args, entrypoint.sys_path),
            started=taskmanagers,
            run=limits,
            on_metrics=screen.on_metrics,
            on_report=screen.on_report,
            on_output=screen.on_output,
            on_event=screen.on_event,
            checkpoints=options.checkpoints.of(job),
            start=options.checkpoints.start,
            serve=None if options.web is None else options.web.serve,
        )
    except BaseException:
        screen.abandon()
        raise
    screen.finish()


class Screen:
    """What a person sees of one run."""

    def __init__(
        self, model: ProgressModel, view: ProgressView, tables: ShownTables, started: float
    ) -> None:
        self._model = model
        self._view = view
        self._tables = tables
        self._started = started

    @classmethod
    def of(cls, job: Job, options: RunOptions, started: float) -> Screen:
        """The screen for a job on this process's standard streams."""
        graph = compile_job(job, parallelism=options.parallelism)
        vertices = [
            VertexInfo(v.id, v.name, v.parallelism, tuple(n.name for n in v.nodes))
            for v in graph.vertices
        ]
        model = ProgressModel(vertices)
        sinks = [node.name for node in job.graph]
        return cls(model, _view(options), ShownTables(options.show, sinks), started)

    def on_metrics(self, metrics: JobMetrics) -> None:
        now = time.monotonic()
        self._model.update((TaskTotals(*task, values) for task, values in metrics.items()), now)
        self._view.show(self._model.lines(), now - self._started)

    def on_report(self, sink: str, data: bytes) -> None:
        self._tables.add(sink, data)

    def on_output(self, slot: int, stream: str, lines: list[str]) -> None:
        """What the job's own code prints comes out where it went in."""
        out = sys.stdout if stream == "stdout" else sys.stderr
        out.write("".join(f"{line}\n" for line in lines))
        out.flush()

    def on_event(self, event: JobEvent) -> None:
        """A line of its own; that slots are being restarted only when they run again, or that takes long."""
        if isinstance(event, WorkersLost):
            self._model.begin_again()
            self._tables.restarted()
        if not isinstance(event, WorkersLost) or event.slow:
            self._view.say(event.text)

    def abandon(self) -> None:
        """Leaves what was last seen standing: an error is what matters now."""
        self._view.close()

    def finish(self) -> None:
        """The figures of the whole run, then the tables."""
        self._view.finish(self._model.summary(), time.monotonic() - self._started)
        tables = list(self._tables.render())
        if tables:
            from rich.console import Console

            width = None if sys.stdout.isatty() else PIPED_WIDTH
            console = Console(file=sys.stdout, width=width)
            for table in tables:
                console.print(table)


def _view(options: RunOptions) -> ProgressView:
    if not options.progress:
        return NoView(sys.stderr)
    if not sys.stderr.isatty():
        return PlainView(sys.stderr)
    from rich.console import Console

    return LiveView(Console(stderr=True), shares_stdout=sys.stdout.isatty())
