"""`flowjob preflight` and `flowjob storage …`: for pods that do one thing, leave an answer behind, and end.

Whatever happens becomes an answer, in JSON, where the operator looks for it; only a process that is killed leaves none.
What is done is cluster/preflight.py's and cluster/storage_work.py's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

if TYPE_CHECKING:
    from flowjob.cluster.job_file import JobFile
    from flowjob.cluster.preflight_answer import Answer, StorageAnswer

JobFilePath = Annotated[
    Path, typer.Option("--job-file", metavar="FILE", help="What the operator says of the job.")
]
AnswerPath = Annotated[
    Path,
    typer.Option("--answer", metavar="FILE", help="Where the answer goes; `-` is stdout."),
]
SnapshotPlace = Annotated[
    str, typer.Argument(metavar="PATH", help="Directory of a snapshot, or s3://bucket/…")
]
Anything = Annotated[
    str | None,
    typer.Argument(metavar="[PATH]", help="Of a savepoint; without: all checkpoints of the job."),
]

_A = TypeVar("_A")
_TERMINATION_LOG = Path("/dev/termination-log")

storage = typer.Typer(
    help="Work on snapshots of a job that need not run: for pods of the operator.",
    no_args_is_help=True,
)


def preflight(job_file: JobFilePath, answer: AnswerPath = _TERMINATION_LOG) -> None:
    """Try a revision of a cluster's job: its code, its storage, its plan, and the newest state."""
    from flowjob.cluster.preflight_answer import PreflightAnswer

    def work(file: JobFile, directory: Path) -> PreflightAnswer:
        from flowjob.cluster.preflight import preflight as tried

        return tried(file, directory)

    def failed(problem: str) -> PreflightAnswer:
        return PreflightAnswer(accepted=False, problems=(problem,), error_code="FLOWJOB")

    found = _done(job_file, work, failed)
    _leave(found, answer)
    for text in (*found.problems, *found.notes):
        print(text, file=sys.stderr)
    raise typer.Exit(0 if found.accepted else 1)


@storage.command("verify")
def storage_verify(
    path: SnapshotPlace, job_file: JobFilePath, answer: AnswerPath = _TERMINATION_LOG
) -> None:
    """Read every byte of a snapshot."""
    _work_on(path, job_file, answer, "verify")


@storage.command("import")
def storage_import(
    path: SnapshotPlace, job_file: JobFilePath, answer: AnswerPath = _TERMINATION_LOG
) -> None:
    """Say what a snapshot made elsewhere is, and whether all of it is there."""
    _work_on(path, job_file, answer, "import")


@storage.command("dispose")
def storage_dispose(
    job_file: JobFilePath, path: Anything = None, answer: AnswerPath = _TERMINATION_LOG
) -> None:
    """Delete a savepoint; without PATH all checkpoints of the job, which then cannot go on."""
    _work_on(path, job_file, answer, "dispose")


@storage.command("discard")
def storage_discard(job_file: JobFilePath, answer: AnswerPath = _TERMINATION_LOG) -> None:
    """Delete all checkpoints of the job, which then cannot go on; its savepoints stay."""
    storage_dispose(job_file, None, answer)


def _work_on(
    path: str | None, job_file: Path, answer: Path, command: Literal["verify", "import", "dispose"]
) -> None:
    from flowjob.cluster.preflight_answer import StorageAnswer

    def work(file: JobFile, directory: Path) -> StorageAnswer:
        from flowjob.cluster import storage_work

        match path, command:
            case None, _:
                return storage_work.discard(file, directory)
            case where, "verify":
                return storage_work.verify(file, where, directory)
            case where, "import":
                return storage_work.import_snapshot(file, where, directory)
            case where, _:
                return storage_work.dispose(file, where, directory)

    def failed(problem: str) -> StorageAnswer:
        return StorageAnswer(done=False, path=path or "", problem=problem, error_code="FLOWJOB")

    found = _done(job_file, work, failed)
    _leave(found, answer)
    if found.problem is not None:
        print(found.problem, file=sys.stderr)
    raise typer.Exit(0 if found.done else 1)


def _done(job_file: Path, work: Callable[[JobFile, Path], _A], failed: Callable[[str], _A]) -> _A:
    import tempfile

    from flowjob.cluster.job_file import read_job_file

    try:
        file = read_job_file(job_file.read_bytes())
    except OSError as error:
        return failed(f"the job file {job_file} cannot be read: {error.strerror}")
    except ValueError as error:
        return failed(f"{job_file}: {error}")
    try:
        with tempfile.TemporaryDirectory(prefix="flowjob-") as directory:
            return work(file, Path(directory))
    except Exception as error:  # noqa: BLE001 - there is nobody above who would tell the operator
        import traceback

        traceback.print_exc()
        return failed(f"this should not happen, and is a defect of flowjob: {error!r}")


def _leave(answer: Answer, path: Path) -> None:
    from flowjob.cluster.preflight_answer import encode

    data = encode(answer)
    if str(path) == "-":
        print(data.decode())
        return
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        print(f"the answer cannot be left in {path}: {error.strerror}", file=sys.stderr)
        print(data.decode())
