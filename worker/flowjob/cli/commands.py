"""Words and options of the `flowjob` command that processes of a job begin with; everything.py has all of them.

Starting a job is what people wait for, so this module imports only what parsing needs; each command imports the rest
when it runs. What a command does is in the module of its name. It must not know how the command begins and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flowjob.cli import completing, short_work
from flowjob.cli.options import (
    AdoptWithin,
    Advertise,
    AllowNonRestored,
    BatchRows,
    CheckpointInterval,
    CheckpointPlace,
    ConnectWithin,
    DataHost,
    Endpoint,
    From,
    GiveUpAfter,
    JobArguments,
    JobFile,
    JobManagersOrFile,
    Listen,
    NoCheckpoints,
    Parallelism,
    Progress,
    RunName,
    Scratch,
    Shown,
    Slots,
    SlotsWithin,
    Standby,
    StoredAs,
    Target,
    TargetOrFile,
    TaskManagers,
    TokenFile,
    WebAddress,
    WorkerName,
)

if TYPE_CHECKING:
    from flowjob.cli.web import Web

app = typer.Typer(
    name="flowjob",
    help="Runs stream processing jobs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def run(
    target: Target,
    parallelism: Parallelism = 1,
    arg: JobArguments = None,
    *,
    taskmanagers: TaskManagers = 1,
    batch_rows: BatchRows = None,
    progress: Progress = True,
    show: Shown = 20,
    checkpoints: CheckpointPlace = None,
    checkpoint_interval: CheckpointInterval = None,
    endpoint: Endpoint = None,
    no_checkpoints: NoCheckpoints = False,
    from_: From = None,
    allow_non_restored: AllowNonRestored = False,
    web: WebAddress = None,
) -> None:
    """Run a job on this machine, in worker processes, to its end."""
    arguments = arguments_of(arg)
    if no_checkpoints:
        _refuse_any(checkpoints, checkpoint_interval, endpoint, from_)
    _refuse_unless_restored(from_, allow_non_restored=allow_non_restored)
    served = None if web is None else _bound(web)
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
            web=served,
        )
        run_job(target, arguments, options, workers)
    finally:
        for worker in workers:
            worker.kill()


@app.command()
def jobmanager(
    target: TargetOrFile = None,
    parallelism: Parallelism = 1,
    arg: JobArguments = None,
    *,
    job_file: JobFile = None,
    directory: Scratch = None,
    listen: Listen = "127.0.0.1:7400",
    advertise: Advertise = None,
    token_file: TokenFile = None,
    run: RunName = "main",
    name: StoredAs = None,
    standby: Standby = False,
    adopt_within: AdoptWithin = "12s",
    slots_within: SlotsWithin = "5m",
    checkpoints: CheckpointPlace = None,
    checkpoint_interval: CheckpointInterval = None,
    endpoint: Endpoint = None,
    from_: From = None,
    allow_non_restored: AllowNonRestored = False,
) -> None:
    """Lead a job whose TaskManagers run elsewhere, or go on with one that another JobManager led."""
    if job_file is not None:
        if target is not None:
            raise typer.BadParameter("the file says what runs", param_hint="--job-file")
        from flowjob.cli.cluster_services import PodOptions, serve_jobmanager

        serve_jobmanager(PodOptions(job_file, token_file, directory))
        return
    if target is None:
        raise typer.BadParameter("say what runs, or give --job-file", param_hint="TARGET")
    from flowjob.cli.checkpoint_options import CheckpointOptions, duration, seconds
    from flowjob.cli.services import ServiceOptions, serve_job
    from flowjob.runtime.jobmanager.request import Service, StartFrom

    kept = CheckpointOptions(
        location=checkpoints,
        interval=duration(checkpoint_interval),
        endpoint=endpoint,
        start=StartFrom(from_, endpoint, None, allow_non_restored),
    )
    within = seconds(adopt_within, "--adopt-within"), seconds(slots_within, "--slots-within")
    service = Service(run, advertise, standby, within[0])
    options = ServiceOptions(listen, service, token_file, name, within[1], parallelism, kept)
    serve_job(target, arguments_of(arg), options)


@app.command()
def taskmanager(
    *,
    job_file: JobFile = None,
    jobmanagers: JobManagersOrFile = None,
    slots: Slots = 1,
    token_file: TokenFile = None,
    name: WorkerName = None,
    host: DataHost = "127.0.0.1",
    connect_within: ConnectWithin = "5m",
    give_up_after: GiveUpAfter = "30s",
    directory: Scratch = None,
) -> None:
    """Run worker processes for a job that a JobManager elsewhere leads."""
    if job_file is not None:
        if jobmanagers is not None:
            raise typer.BadParameter("the file says where they are", param_hint="--jobmanager")
        from flowjob.cli.cluster_services import PodOptions, serve_taskmanager

        serve_taskmanager(PodOptions(job_file, token_file, directory))
        return
    if jobmanagers is None:
        raise typer.BadParameter(
            "say where a JobManager is, or give --job-file", param_hint="--jobmanager"
        )
    from flowjob.cli.checkpoint_options import seconds
    from flowjob.cli.services import WorkerOptions, serve_slots

    found, lost = (
        seconds(connect_within, "--connect-within"),
        seconds(give_up_after, "--give-up-after"),
    )
    serve_slots(WorkerOptions(jobmanagers, slots, token_file, name, host, found, lost, directory))


@app.command()
def explain(
    target: Target,
    parallelism: Parallelism = 1,
    arg: JobArguments = None,
    *,
    from_: From = None,
    checkpoints: CheckpointPlace = None,
    endpoint: Endpoint = None,
    allow_non_restored: AllowNonRestored = False,
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Print a job's plan: what was written, what became of it, and what would run."""
    _refuse_unless_restored(from_, allow_non_restored=allow_non_restored)
    from flowjob.cli.explaining import Restoring, explain_job

    restoring = Restoring(from_, checkpoints, endpoint, allow_non_restored)
    explain_job(target, arguments_of(arg), parallelism, restoring, as_json=json)


@app.command()
def setup() -> None:
    """Compile the kernels, once after an installation."""
    import runpy

    runpy.run_module("flowjob.kernels.compile", run_name="__main__", alter_sys=True)


app.command()(completing.completion)
app.command("preflight")(short_work.preflight)
app.add_typer(short_work.storage, name="storage")


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


def _refuse_any(*said: str | None) -> None:
    """A usage error for what was said about checkpoints when there are to be none."""
    if any(option is not None for option in said):
        raise typer.BadParameter(
            "it leaves nothing to say about checkpoints", param_hint="--no-checkpoints"
        )


def _refuse_unless_restored(start: str | None, *, allow_non_restored: bool) -> None:
    """A usage error for what is allowed where nothing is restored."""
    if allow_non_restored and start is None:
        raise typer.BadParameter(
            "nothing is restored without --from", param_hint="--allow-non-restored"
        )


def _bound(address: str) -> Web:
    """The address of `--web`, before anything else is started."""
    from flowjob.cli.web import Web

    return Web.bind(address)


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
