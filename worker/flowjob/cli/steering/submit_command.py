"""The words and options of `flowjob submit`; what it does is submitting.py's, imported then.

Imported for every command: it must import nothing but typer and its neighbours of the same kind."""

from __future__ import annotations

from typing import Annotated

import typer

from flowjob.cli.steering.where import Where, asking


@asking
def submit(
    where: Where,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A FlowJob (.yaml, .json), or a program (.py).")
    ],
    *,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the job; of a program: the file's unless said."),
    ] = None,
    image: Annotated[str | None, typer.Option(help="That it runs in.", show_default=False)] = None,
    arg: Annotated[
        list[str] | None,
        typer.Option("--arg", "-a", metavar="NAME=VALUE", help="An argument. Repeatable."),
    ] = None,
    parallelism: Annotated[
        int | None, typer.Option("--parallelism", "-p", min=1, show_default=False)
    ] = None,
    checkpoints: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Where its checkpoints go: s3://bucket/…")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Until it runs; else only until it is made.")
    ] = True,
    timeout: Annotated[
        str, typer.Option(metavar="TIME", help="To wait. 0: as long as it takes.")
    ] = "15m",
) -> None:
    """Have a cluster run a job: makes a FlowJob."""
    from flowjob.cli.steering.changing import Patience
    from flowjob.cli.steering.submitting import Submission, submit_job

    said = Submission(name, image, arg, parallelism, checkpoints)
    submit_job(where, file, said, Patience(wait, timeout))
