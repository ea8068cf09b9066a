"""`flowjob run`: a job on this machine, its progress on stderr, what it shows and prints on stdout.

Binds the local cluster's callbacks to the view; the cluster itself is runtime/minicluster.py."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowjob.cli.exits import EXIT_OK

if TYPE_CHECKING:
    from flowjob.cli.progress import ProgressModel
    from flowjob.cli.progress_view import ProgressView
    from flowjob.cli.results import ShownTables
    from flowjob.job import Job


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line said about the run, and not about the job."""

    parallelism: int = 1
    taskmanagers: int = 1
    batch_rows: int | None = None
    progress: bool = True
    show: int = 20


def run_job(target: str, arguments: Mapping[str, str], options: RunOptions) -> int:
    """Runs the job to its end and shows its tables. Raises FlowjobError; the status is 0 otherwise."""
    started = time.monotonic()
    from flowjob.entrypoint import load, locate

    entrypoint = locate(target, arguments, Path.cwd())
    job = load(entrypoint)
    screen = Screen.of(job, options, started)
    settings: dict[str, Any] = {}
    if options.batch_rows is not None:
        settings["batch_rows"] = options.batch_rows
    try:
        job.run(
            parallelism=options.parallelism,
            taskmanagers=options.taskmanagers,
            on_metrics=screen.on_metrics,
            on_report=screen.on_report,
            on_output=screen.on_output,
            **settings,
        )
    finally:
        screen.close()
    screen.show_tables()
    return EXIT_OK


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
        from flowjob.cli.progress import ProgressModel, VertexInfo
        from flowjob.cli.results import ShownTables
        from flowjob.plan import compile_job

        graph = compile_job(job, parallelism=options.parallelism)
        vertices = [
            VertexInfo(v.id, v.name, v.parallelism, tuple(n.name for n in v.nodes))
            for v in graph.vertices
        ]
        model = ProgressModel(vertices, started)
        return cls(model, _view(options), ShownTables(options.show), started)

    def on_metrics(self, tasks: Any) -> None:
        from flowjob.cli.progress import TaskTotals

        now = time.monotonic()
        self._model.update(
            (TaskTotals(t.task.vertex, t.task.subtask, t.values) for t in tasks), now
        )
        self._view.show(self._model.lines(), now - self._started)

    def on_report(self, task: Any, sink: str, data: bytes) -> None:
        self._tables.add(sink, data)

    def on_output(self, slot: int, stream: str, lines: list[str]) -> None:
        """What the job's own code prints comes out where it went in."""
        out = sys.stdout if stream == "stdout" else sys.stderr
        out.write("".join(f"{line}\n" for line in lines))
        out.flush()

    def close(self) -> None:
        """Leaves the last state of the view standing."""
        self._view.finish(self._model.summary(), time.monotonic() - self._started)

    def show_tables(self) -> None:
        from rich.console import Console

        console = Console(file=sys.stdout)
        for table in self._tables.render():
            console.print(table)


def _view(options: RunOptions) -> ProgressView:
    from flowjob.cli.progress_view import LiveView, NoView, PlainView

    if not options.progress:
        return NoView()
    if not sys.stderr.isatty():
        return PlainView(sys.stderr)
    from rich.console import Console

    return LiveView(Console(stderr=True), shares_stdout=sys.stdout.isatty())
