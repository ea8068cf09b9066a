"""The `flowjob` command: its words and options, and how it ends.

Starting a job is what people wait for, so this module imports only what parsing needs; each command imports the rest
when it runs. What a command does is in the module of its name."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

from flowjob.cli.exits import EXIT_CANCELLED, EXIT_FAILED, exit_with

app = typer.Typer(
    name="flowjob",
    help="Runs stream processing jobs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="The job: a script (flights.py) or module (package.flights), with `:attribute` when it is not `job`.",
        show_default=False,
    ),
]
Parallelism = Annotated[
    int, typer.Option("--parallelism", "-p", min=1, help="Subtasks of each operator.")
]
JobArguments = Annotated[
    list[str] | None,
    typer.Option("--arg", "-a", metavar="NAME=VALUE", help="An argument of the job; repeatable."),
]


CheckpointPlace = Annotated[
    str | None,
    typer.Option(
        metavar="PLACE",
        help="Where checkpoints are: a directory or s3://bucket/prefix. `.flowjob` unless the job says otherwise.",
        show_default=False,
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Of an S3 other than Amazon's.", show_default=False),
]


@app.command()
def run(
    target: Target,
    parallelism: Parallelism = 1,
    arg: JobArguments = None,
    *,
    taskmanagers: Annotated[
        int,
        typer.Option(min=1, help="Supervisor processes that the worker processes are spread over."),
    ] = 1,
    batch_rows: Annotated[
        int | None, typer.Option(min=1, help="The most rows of a batch.", show_default=False)
    ] = None,
    progress: Annotated[
        bool,
        typer.Option("--progress/--no-progress", help="Show what each operator does, on stderr."),
    ] = True,
    show: Annotated[
        int, typer.Option("--show", "--limit", min=0, help="Rows shown of each result table.")
    ] = 20,
    checkpoints: CheckpointPlace = None,
    checkpoint_interval: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From one checkpoint to the next: 10s, 500ms, 2m."),
    ] = None,
    endpoint: Endpoint = None,
    no_checkpoints: Annotated[
        bool, typer.Option("--no-checkpoints", help="Save nothing; the first failure ends the job.")
    ] = False,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="PATH", help="Begin from a snapshot, or from the `latest`."),
    ] = None,
    allow_non_restored: Annotated[
        bool,
        typer.Option(
            "--allow-non-restored",
            help="Leave state behind that has no place in the program any more.",
        ),
    ] = False,
) -> None:
    """Run a job on this machine, in worker processes, to its end."""
    arguments = arguments_of(arg)
    if no_checkpoints and (checkpoints or checkpoint_interval or from_):
        raise typer.BadParameter(
            "it leaves nothing to say about checkpoints", param_hint="--no-checkpoints"
        )
    # Workers start while everything else is imported here: together they are what people wait for.
    from flowjob.runtime.real.processes import spawn_taskmanager

    workers = [spawn_taskmanager() for _ in range(taskmanagers)]
    try:
        from flowjob.cli.checkpoint_options import CheckpointOptions, duration
        from flowjob.cli.run import RunOptions, run_job
        from flowjob.runtime.jobmanager.request import StartFrom

        options = RunOptions(
            parallelism=parallelism,
            batch_rows=batch_rows,
            progress=progress,
            show=show,
            checkpoints=CheckpointOptions(
                location=checkpoints,
                interval=duration(checkpoint_interval),
                endpoint=endpoint,
                off=no_checkpoints,
                start=StartFrom(from_, endpoint, None, allow_non_restored),
            ),
        )
        run_job(target, arguments, options, workers)
    finally:
        for worker in workers:
            worker.kill()


@app.command()
def explain(target: Target, parallelism: Parallelism = 1, arg: JobArguments = None) -> None:
    """Print a job's plan: what was written, what became of it, and what would run."""
    from pathlib import Path

    from flowjob.entrypoint import load, locate

    job = load(locate(target, arguments_of(arg), Path.cwd()))
    typer.echo(job.explain(parallelism=parallelism))


@app.command()
def setup() -> None:
    """Compile the kernels, once after an installation."""
    import runpy

    runpy.run_module("flowjob.kernels.compile", run_name="__main__", alter_sys=True)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)
    ] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed_version

        typer.echo(f"flowjob {installed_version('flowjob')}")
        raise typer.Exit


def arguments_of(pairs: list[str] | None) -> dict[str, str]:
    """`["a=1"]` as a mapping; a usage error for what is not NAME=VALUE or given twice."""
    found: dict[str, str] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"`{pair}` is not NAME=VALUE", param_hint="--arg")
        if name in found:
            raise typer.BadParameter(f"`{name}` is given twice", param_hint="--arg")
        found[name] = value
    return found


_CANNOT_WRITE = (errno.ENOSPC, errno.EIO, errno.EDQUOT)


def _open_standard_streams() -> None:
    """Closed ones (`flowjob run … >&-`) lead nowhere, so that no socket of ours takes their numbers."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != descriptor:
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, open(descriptor, "r" if descriptor == 0 else "w", closefd=False))  # noqa: SIM115


def main() -> None:
    """The console script: runs the command and exits with its status (docs/cli.md lists them)."""
    _open_standard_streams()
    from flowjob.errors import FlowjobError

    try:
        app()
    except FlowjobError as error:
        sys.exit(exit_with(error, sys.stderr))
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        print(f"error: output could not be written: {error.strerror}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_CANCELLED)
