"""The words and options of `flowjob savepoint …` and `flowjob stop`.

A job of this directory is found by the file beside its checkpoints; where a service or cluster is named, that is asked.
Imported for every command: it must import nothing but typer and its neighbours of the same kind."""

from __future__ import annotations

from typing import Annotated

import typer

from flowjob.cli.options import CheckpointPlace, Endpoint, JobName, SavepointName, SnapshotPath
from flowjob.cli.steering.commands import Timeout, Wait
from flowjob.cli.steering.where import Where, asking

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]

savepoint = typer.Typer(
    help="Snapshots that are yours: take, look at, delete.", no_args_is_help=True
)


@savepoint.command("take")
@asking
def savepoint_take(
    where: Where,
    job: JobName,
    *,
    name: SavepointName = "",
    checkpoints: CheckpointPlace = None,
    wait: Wait = True,
    timeout: Timeout = "15m",
) -> None:
    """Have a running job take a savepoint, and print where it is."""
    if where.is_said:
        from flowjob.cli.steering.changing import Patience, take_savepoint

        take_savepoint(where, job, name, Patience(wait, timeout))
        return
    from flowjob.cli.savepoints import take

    take(job, name, checkpoints, as_json=where.json)


@savepoint.command("list")
@asking
def savepoint_list(
    where: Where, job: JobName, checkpoints: CheckpointPlace = None, endpoint: Endpoint = None
) -> None:
    """List a job's checkpoints and savepoints."""
    if where.is_said:
        from flowjob.cli.steering.listing import show_snapshots

        show_snapshots(where, job)
        return
    from flowjob.cli.savepoints import list_all

    list_all(job, checkpoints, endpoint, as_json=where.json)


@savepoint.command("inspect")
def savepoint_inspect(path: SnapshotPath, endpoint: Endpoint = None, json: Json = False) -> None:
    """Print what a snapshot holds, by operator."""
    from flowjob.cli.savepoints import inspect

    inspect(path, endpoint, as_json=json)


@savepoint.command("verify")
def savepoint_verify(path: SnapshotPath, endpoint: Endpoint = None, json: Json = False) -> None:
    """Read every byte of a snapshot and say whether it is whole."""
    from flowjob.cli.savepoints import verify

    verify(path, endpoint, as_json=json)


@savepoint.command("delete")
def savepoint_delete(
    path: SnapshotPath,
    endpoint: Endpoint = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also if its job would continue from there.")
    ] = False,
    json: Json = False,
) -> None:
    """Delete a savepoint."""
    from flowjob.cli.savepoints import delete

    delete(path, endpoint, force=force, as_json=json)


def inspect(path: SnapshotPath, endpoint: Endpoint = None, json: Json = False) -> None:
    """Print what a snapshot holds, by operator: `savepoint inspect`."""
    savepoint_inspect(path, endpoint, json)


@asking
def stop(
    where: Where,
    job: JobName,
    *,
    with_savepoint: Annotated[
        bool, typer.Option("--savepoint", help="Take a savepoint, behind which nothing is read.")
    ] = False,
    drain: Annotated[
        bool,
        typer.Option("--drain", help="For good: event time runs to its end first, windows fire."),
    ] = False,
    name: SavepointName = "",
    checkpoints: CheckpointPlace = None,
    wait: Wait = True,
    timeout: Timeout = "15m",
) -> None:
    """Stop a running job: at once, or with a savepoint to continue from."""
    if (drain or name) and not with_savepoint:
        raise typer.BadParameter("say --savepoint too", param_hint="--drain" if drain else "--name")
    if where.is_said:
        from flowjob.cli.steering.changing import Patience, cancel_job, stop_job

        patience = Patience(wait, timeout)
        if with_savepoint:
            stop_job(where, job, name, patience, drain=drain)
        else:
            cancel_job(where, job, patience, yes=True, force=False)
        return
    from flowjob.cli.savepoints import stop as stop_here
    from flowjob.runtime.messages import Ask

    what = "stop" if with_savepoint else "cancel"
    wish = Ask(what=what, savepoint=name, drain=drain)
    stop_here(job, checkpoints, wish, as_json=where.json)


def register(app: typer.Typer) -> None:
    """Adds them, in the order of the help."""
    app.add_typer(savepoint, name="savepoint")
    app.command()(stop)
    app.command()(inspect)
