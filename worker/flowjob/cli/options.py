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
TargetOrFile = Annotated[
    str | None,
    typer.Argument(
        metavar="TARGET",
        help="The job: a script or module, as for `flowjob run`. Not with --job-file.",
        show_default=False,
    ),
]
JobFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="In a cluster's pod: the file that says everything, so that no other option is needed.",
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
Listen = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="Where TaskManagers and standbys connect.")
]
TokenFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="The secret that the job's processes share; else FLOWJOB_TOKEN. A JobManager makes the file.",
        show_default=False,
    ),
]
RunName = Annotated[
    str,
    typer.Option(
        "--run", metavar="NAME", help="Of the run: one that was begun is continued, with its tasks."
    ),
]
StoredAs = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="Under which checkpoints are kept; the job's own unless said.",
        show_default=False,
    ),
]
Advertise = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Where others reach this JobManager, if not where it listens.",
        show_default=False,
    ),
]
Standby = Annotated[
    bool, typer.Option("--standby", help="Wait until no other JobManager of the job answers.")
]
AdoptWithin = Annotated[
    str, typer.Option(metavar="TIME", help="For tasks of the JobManager before to report.")
]
SlotsWithin = Annotated[
    str, typer.Option(metavar="TIME", help="For enough TaskManagers to come; then the job fails.")
]
JobManagersOrFile = Annotated[
    str | None,
    typer.Option(
        "--jobmanager",
        metavar="HOST:PORT[,…]",
        help="Where a JobManager of the job may be.",
        show_default=False,
    ),
]
Slots = Annotated[int, typer.Option(min=1, help="Worker processes it may have.")]
WorkerName = Annotated[
    str | None,
    typer.Option(
        "--name", help="Of this TaskManager; host and pid unless said.", show_default=False
    ),
]
DataHost = Annotated[str, typer.Option("--host", help="Where its workers listen for each other.")]
ConnectWithin = Annotated[
    str, typer.Option(metavar="TIME", help="For the first JobManager to be found.")
]
GiveUpAfter = Annotated[
    str, typer.Option(metavar="TIME", help="Without a JobManager; until then its workers go on.")
]
Scratch = Annotated[
    str | None,
    typer.Option("--directory", help="Scratch space on local disk.", show_default=False),
]
SavepointName = Annotated[
    str, typer.Option("--name", help="Of the savepoint; made up if not said.")
]
WebAddress = Annotated[
    str | None,
    typer.Option(
        "--web",
        metavar="[HOST:]PORT",
        help="Show and steer the job there, in a browser and by REST. Alone: 127.0.0.1:8081.",
        show_default=False,
    ),
]
