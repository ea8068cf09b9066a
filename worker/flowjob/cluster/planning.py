"""`python -m flowjob.cluster.planning`: imports a job and plans it, in a process of its own, for a pre-flight.

User's code runs here that nobody has seen run: it may print, hang, exit or crash, and the pre-flight goes on. What is
asked comes on standard input, the answer goes to a descriptor of its own. It must not know storage: a snapshot to hold
the plan against comes with the question."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback

import msgspec

from flowjob.cluster.job_file import JobFile
from flowjob.cluster.state_moves import StateMove, moves_of

TAIL = 600
"""Characters of what a child said last that become part of the reason."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """`target`, `args`, `sys_path` are those of flowjob.entrypoint.Entrypoint; `manifest` is that of the snapshot."""

    file: JobFile
    target: str
    args: dict[str, str]
    sys_path: tuple[str, ...]
    manifest: bytes | None = None


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """`problem`, with the code of its kind, or all the rest; `moves` also where state does not fit."""

    problem: str | None = None
    error_code: str | None = None
    digest: str = ""
    max_parallelism: int = 0
    parallelism: int = 0
    slots: dict[str, int] = {}
    restored: list[str] = []
    moves: list[StateMove] = []


def plan_in_child(question: Question, within: float) -> Planned:
    """The answer, whatever happens: a child that dies or takes longer than `within` seconds is a problem, too."""
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "flowjob.cluster.planning", str(writer)]
    with open(reader, "rb") as answers:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=2,
            stderr=subprocess.PIPE,
            pass_fds=[writer],
        )
        os.close(writer)
        try:
            _, said = child.communicate(msgspec.json.encode(question), timeout=within)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            return Planned(
                problem=f"the program was not imported and planned within {within:g} s: what does it do at import?",
                error_code="PLAN",
            )
        os.write(2, said)
        try:
            return msgspec.json.decode(answers.read(), type=Planned)
        except msgspec.MsgspecError:
            return Planned(problem=_died(child.returncode, said), error_code="PLAN")


def _died(status: int, said: bytes) -> str:
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    memory = ": perhaps it needs more memory than the pod has" if status == -9 else ""
    tail = said.decode(errors="replace").strip()[-TAIL:]
    last = f". Its last words: {tail}" if tail else ""
    return f"the process that imports the program {how}{memory}{last}"


def plan(question: Question) -> Planned:
    """Raises FlowjobError with what is wrong."""
    from flowjob.cluster.requests import check, run_options
    from flowjob.cluster.settings import checkpoints_of, restarts_of
    from flowjob.entrypoint import Entrypoint, load
    from flowjob.errors import StateMismatch
    from flowjob.plan import compile_job, digest
    from flowjob.plan.restore import judge_restore
    from flowjob.runtime.checkpoint.manifest_io import decode_manifest

    file = question.file
    check(file)
    run_options(file.config)
    job = load(Entrypoint(question.target, dict(question.args), question.sys_path))
    if file.max_parallelism is not None:
        job.max_parallelism = file.max_parallelism
    if file.storage is not None:
        kept = checkpoints_of(file.checkpoints, job.checkpoints)
        restarts_of(file.restarts, kept.strategy())
    graph = compile_job(job, parallelism=file.parallelism)
    most = max(vertex.parallelism for vertex in graph.vertices)
    lines, moves = [], []
    if question.manifest is not None:
        manifest = decode_manifest(question.manifest, "the snapshot")
        allowed = file.restore.allow_non_restored
        judged = judge_restore(graph, manifest, allow_non_restored=allowed)
        moves = moves_of(judged.plan)
        if judged.problem is not None:
            return Planned(
                problem=judged.problem,
                error_code=StateMismatch.code,
                digest=digest(graph),
                moves=moves,
            )
        lines = judged.plan.lines
    return Planned(
        digest=digest(graph),
        max_parallelism=graph.max_parallelism,
        parallelism=most,
        slots={"default": most},  # subtask i of every vertex shares slot i
        restored=lines,
        moves=moves,
    )


def main() -> None:
    """In the child."""
    from flowjob.errors import FlowjobError

    answers = int(sys.argv[1])
    os.set_inheritable(answers, False)
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    sys.stdin = open(os.devnull)  # noqa: SIM115 - for as long as the process lives
    try:
        answer = plan(question)
    except FlowjobError as error:
        answer = Planned(problem=str(error), error_code=error.code)
    except BaseException as error:  # noqa: BLE001 - whatever user's code may raise, sys.exit among it
        last = traceback.format_exception_only(error)[-1].strip()
        answer = Planned(problem=f"the program could not be planned: {last}", error_code="PLAN")
    with open(answers, "wb") as out:
        out.write(msgspec.json.encode(answer))
    sys.stdout.flush()
    os._exit(0)  # threads that user's code has started must not keep the pod


if __name__ == "__main__":
    main()
