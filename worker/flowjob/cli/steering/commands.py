"""The words and options of commands about running jobs; what each does is in the module of its name, imported then.

Imported for every command: it must import nothing but typer and its neighbours of the same kind."""

from __future__ import annotations

from typing import Annotated

import typer

from flowjob.cli.options import SavepointName
from flowjob.cli.steering.submit_command import submit
from flowjob.cli.steering.where import Where, asking


def _names(ctx: typer.Context, incomplete: str) -> list[str]:
    from flowjob.cli.steering.completing_names import names_of_jobs

    return names_of_jobs(ctx.params, incomplete)


Job = Annotated[
    str,
    typer.Argument(
        metavar="JOB",
        help="Its name, or NAMESPACE/NAME.",
        show_default=False,
        autocompletion=_names,
    ),
]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Until it is done; else only until it is begun.")
]
Timeout = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="To wait; the work goes on behind it. 0: as long as it takes."
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Also set fields that another manager owns, such as git."),
]
Every = Annotated[
    bool, typer.Option("--watch", "-w", help="Look again every two seconds, until Ctrl-C.")
]
Drain = Annotated[
    bool, typer.Option("--drain", help="For good: event time runs to its end first, windows fire.")
]
Width = Annotated[
    int | None,
    typer.Option("--parallelism", "-p", min=1, help="From now on.", show_default=False),
]
Pairs = Annotated[
    list[str] | None,
    typer.Option(
        "--arg", "-a", metavar="NAME=VALUE", help="Another argument; NAME- removes it. Repeatable."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--config", metavar="NAME=VALUE", help="A setting of the engine; NAME- removes it."
    ),
]
Snapshot = Annotated[str, typer.Argument(metavar="NAME", help="Of the snapshot.")]


@asking
def jobs(
    where: Where,
    state: Annotated[
        str | None,
        typer.Option(metavar="STATE[,…]", help="Only those in it.", show_default=False),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(
            "-q", "--query", metavar="TEXT", help="Only those that have it in their name."
        ),
    ] = None,
    watch: Every = False,
) -> None:
    """List jobs."""
    from flowjob.cli.steering.listing import show_jobs

    show_jobs(where, state, query, watch=watch)


@asking
def status(where: Where, job: Job, watch: Every = False) -> None:
    """Show one job: state, rates, checkpoints, what is wrong."""
    from flowjob.cli.steering.listing import show_status

    show_status(where, job, watch=watch)


@asking
def graph(where: Where, job: Job, watch: Every = False) -> None:
    """Draw a running job's graph with its rates."""
    from flowjob.cli.steering.listing import show_graph

    show_graph(where, job, watch=watch)


@asking
def logs(
    where: Where,
    job: Job,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    tail: Annotated[int, typer.Option(min=1, max=1000, help="Lines to begin with.")] = 100,
    level: Annotated[
        str | None,
        typer.Option(metavar="LEVEL", help="This one and worse: DEBUG, INFO, WARNING, ERROR."),
    ] = None,
    vertex: Annotated[int | None, typer.Option(min=0, help="Of this vertex only.")] = None,
    subtask: Annotated[int | None, typer.Option(min=0, help="Of this subtask only.")] = None,
    query: Annotated[
        str | None, typer.Option("-q", "--query", metavar="TEXT", help="That contain this.")
    ] = None,
) -> None:
    """Print a job's log: what its processes say, and what its code prints."""
    from flowjob.cli.steering.log_lines import LogChoice, show_logs

    show_logs(where, job, LogChoice(tail, level, vertex, subtask, query), follow=follow)


@asking
def upgrade(
    where: Where,
    job: Job,
    *,
    image: Annotated[str | None, typer.Option(help="Another image.", show_default=False)] = None,
    script: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Another program, in one file.", show_default=False),
    ] = None,
    arg: Pairs = None,
    config: Settings = None,
    parallelism: Width = None,
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE",
            help="What state it goes on with: Savepoint, LastState or Stateless.",
            show_default=False,
        ),
    ] = None,
    allow_non_restored: Annotated[
        bool,
        typer.Option(
            "--allow-non-restored",
            help="Leave state behind that has no place in the program any more.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")
    ] = False,
    force: Force = False,
    wait: Wait = True,
    timeout: Timeout = "15m",
) -> None:
    """Have a job go on as another program, or with other settings. What is not said stays."""
    from flowjob.cli.steering.changing import Changes, Patience, upgrade_job

    changes = Changes(image, script, arg, config, parallelism, mode, allow_non_restored)
    upgrade_job(where, job, changes, Patience(wait, timeout), dry_run=dry_run, force=force)


@asking
def scale(
    where: Where,
    job: Job,
    parallelism: Annotated[int, typer.Argument(min=1, metavar="PARALLELISM")],
    *,
    force: Force = False,
    wait: Wait = True,
    timeout: Timeout = "15m",
) -> None:
    """Change the parallelism of a running job: a checkpoint, and it goes on wider or narrower."""
    from flowjob.cli.steering.changing import Patience, scale_job

    scale_job(where, job, parallelism, Patience(wait, timeout), force=force)


@asking
def suspend(
    where: Where,
    job: Job,
    *,
    drain: Drain = False,
    force: Force = False,
    wait: Wait = True,
    timeout: Timeout = "15m",
) -> None:
    """Stop a job with a savepoint, to go on from it with `resume`."""
    from flowjob.cli.steering.changing import Patience, suspend_job

    suspend_job(where, job, Patience(wait, timeout), drain=drain, force=force)


@asking
def resume(
    where: Where,
    job: Job,
    *,
    parallelism: Width = None,
    force: Force = False,
    wait: Wait = True,
    timeout: Timeout = "15m",
) -> None:
    """Have a suspended job go on from where it stopped."""
    from flowjob.cli.steering.changing import Patience, resume_job

    resume_job(where, job, parallelism, Patience(wait, timeout), force=force)


@asking
def cancel(
    where: Where,
    job: Job,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Force = False,
    wait: Wait = True,
    timeout: Timeout = "15m",
) -> None:
    """Stop a job at once and for good. What is in its storage stays."""
    from flowjob.cli.steering.changing import Patience, cancel_job

    cancel_job(where, job, Patience(wait, timeout), yes=yes, force=force)


@asking
def restart(
    where: Where,
    job: Job,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="For the log.")] = "asked for",
    force: Force = False,
    wait: Wait = True,
    timeout: Timeout = "15m",
) -> None:
    """Have all tasks of a job begin anew, from a checkpoint."""
    from flowjob.cli.steering.changing import Patience, restart_job

    restart_job(where, job, reason, Patience(wait, timeout), force=force)


@asking
def restore(
    where: Where,
    job: Job,
    *,
    from_: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="SNAPSHOT",
            help="A snapshot's name or path, or job:NAME for the newest of another job.",
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Force = False,
    wait: Wait = True,
    timeout: Timeout = "15m",
) -> None:
    """Have a job go back to a snapshot: what it has done since is given up."""
    from flowjob.cli.steering.changing import Patience, restore_job

    restore_job(where, job, from_, Patience(wait, timeout), yes=yes, force=force)


snapshot = typer.Typer(
    help="Snapshots of a running job: list, take, verify, delete.", no_args_is_help=True
)


@snapshot.command("list")
@asking
def snapshot_list(where: Where, job: Job) -> None:
    """List the checkpoints and savepoints that a job keeps."""
    from flowjob.cli.steering.listing import show_snapshots

    show_snapshots(where, job)


@snapshot.command("take")
@asking
def snapshot_take(
    where: Where,
    job: Job,
    name: SavepointName = "",
    wait: Wait = True,
    timeout: Timeout = "15m",
) -> None:
    """Have a job take a savepoint, and print where it is."""
    from flowjob.cli.steering.changing import Patience, take_savepoint

    take_savepoint(where, job, name, Patience(wait, timeout))


@snapshot.command("verify")
@asking
def snapshot_verify(
    where: Where, job: Job, name: Snapshot, wait: Wait = True, timeout: Timeout = "1h"
) -> None:
    """Have every byte of a snapshot read, to see whether it is whole."""
    from flowjob.cli.steering.changing import Patience, verify_snapshot

    verify_snapshot(where, job, name, Patience(wait, timeout))


@snapshot.command("delete")
@asking
def snapshot_delete(
    where: Where,
    job: Job,
    *,
    name: Snapshot,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Wait = True,
    timeout: Timeout = "15m",
) -> None:
    """Delete a savepoint with its data."""
    from flowjob.cli.steering.changing import Patience, delete_snapshot

    delete_snapshot(where, job, name, Patience(wait, timeout), yes=yes)


@asking
def doctor(
    where: Where,
    checkpoints: Annotated[
        str | None,
        typer.Option(metavar="PLACE", help="Where checkpoints would go.", show_default=False),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Of an S3 other than Amazon's.", show_default=False),
    ] = None,
) -> None:
    """Check everything that a job needs here, and say what to do about what is wrong."""
    from flowjob.cli.doctor.examining import examine

    examine(where, checkpoints, endpoint)


def register(app: typer.Typer) -> None:
    """Adds them, in the order of the help."""
    steering = (
        jobs,
        status,
        graph,
        logs,
        submit,
        upgrade,
        scale,
        suspend,
        resume,
        cancel,
        restart,
        restore,
    )
    for command in (*steering, doctor):
        app.command()(command)
    app.add_typer(snapshot, name="snapshot")
