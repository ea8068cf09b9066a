"""The words and options that commands share or have many of, as types: what typer shows of them, and what they take.

Imported for every command: it must import nothing but typer."""

from __future__ import annotations

from typing import Annotated

import typer

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

TaskManagers = Annotated[
    int,
    typer.Option(min=1, help="Supervisor processes that the worker processes are spread over."),
]
BatchRows = Annotated[
    int | None, typer.Option(min=1, help="The most rows of a batch.", show_default=False)
]
Progress = Annotated[
    bool,
    typer.Option("--progress/--no-progress", help="Show what each operator does, on stderr."),
]
Shown = Annotated[
    int, typer.Option("--show", "--limit", min=0, help="Rows shown of each result table.")
]
CheckpointInterval = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="From one checkpoint to the next: 10s, 500ms, 2m."),
]
NoCheckpoints = Annotated[
    bool, typer.Option("--no-checkpoints", help="Save nothing; the first failure ends the job.")
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="PATH", help="Begin from a snapshot, or from the `latest`."),
]
AllowNonRestored = Annotated[
    bool,
    typer.Option(
        "--allow-non-restored",
        help="Leave state behind that has no place in the program any more.",
    ),
]
JobName = Annotated[
    str, typer.Argument(metavar="JOB", help='The name of the job: that of `fj.Job("…")`.')
]
SnapshotPath = Annotated[
    str, typer.Argument(metavar="PATH", help="The directory of a snapshot, or s3://bucket/…")
]
SavepointName = Annotated[
    str, typer.Option("--name", help="Of the savepoint; made up if not said.")
]
