"""A running job, asked by those who show and steer it in its own process; and what it says when it is over."""

from __future__ import annotations

import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import flowjob as fj
from flowjob.cluster.control_api import CancelJob, Rescale, TakeSavepoint
from flowjob.cluster.job_details import (
    DetailsError,
    Graph,
    JobDetails,
    LiveJob,
    LogQuery,
    MetricsQuery,
)
from flowjob.cluster.local_requests import (
    DeleteSnapshot,
    RestoreJob,
    ResumeJob,
    SuspendJob,
    UpgradeJob,
    VerifySnapshot,
)
from flowjob.entrypoint import load, locate
from flowjob.errors import JobCancelled, UserCodeFailed
from flowjob.runtime.minicluster import from_script, run_local

pytestmark = pytest.mark.processes


def endless() -> fj.Job:
    job = fj.Job("seen")
    columns = {"k": fj.values.ints(0, 9), "at": fj.values.timestamps()}
    rows = job.read(fj.datagen(columns, rate=2000, event_time="at"))
    job.write(rows.key_by("k").agg(n=fj.count()), fj.discard())
    return job


async def until(details: JobDetails, topic: str) -> None:
    """Something of that topic has happened."""
    after = 0
    while True:
        found = await details.changes(after=after, wait=25.0)
        if any(change.topic == topic for change in found.changes):
            return
        after = found.next


async def reported(details: JobDetails) -> Graph:
    """The graph, as soon as all subtasks have told of rows, and of state in a snapshot."""
    while True:
        graph = await details.graph(subtasks=True)
        figures = [s.figures for v in graph.vertices for s in v.subtasks]
        if all((f.rows_in or f.rows_out) and f.state_bytes is not None for f in figures):
            return graph
        await details.logs(LogQuery(after=10_000, wait=0.1))


async def done(live: LiveJob, id: str) -> str:
    while (view := await live.operations.look(id)).state == "UnderWay":
        await live.details.changes(after=(await live.details.changes()).next, wait=0.2)
    return view.state + (f": {view.error}" if view.error else "")


def test_a_running_job_tells_all_and_does_what_it_is_asked(tmp_path: Path) -> None:
    seen: dict[str, object] = {}

    async def serve(live: LiveJob) -> None:
        details, operations = live.details, live.operations
        assert (await details.job()).view.state in ("Waiting", "Starting")
        await until(details, "checkpoint")
        with pytest.raises(DetailsError, match="no vertex 99"):
            await details.tasks(vertex=99)
        facts = await details.job()
        assert (facts.name, facts.view.state, facts.local) == ("seen", "Running", True)
        graph = await reported(details)
        source, counted = graph.vertices
        assert source.is_source
        assert source.figures.rows_out > 0
        assert counted.held_by is not None
        assert (counted.held_by.vertex, counted.held_by.watermark_ms is not None) == (
            source.id,
            True,
        )
        assert counted.figures.state_bytes
        assert [s.state for s in counted.subtasks] == ["Running", "Running"]
        tasks = await details.tasks()
        assert {(t.task_manager, t.attempt) for t in tasks.tasks} == {("taskmanager-1", 1)}
        newest = next(c for c in (await details.checkpoints()).history if c.status == "Completed")
        assert newest.path is not None
        assert newest.path.startswith(f"{tmp_path}/seen/checkpoints/{newest.id}")
        detail = await details.checkpoint(newest.id)
        assert [v.acknowledged for v in detail.vertices] == [2, 2]
        assert (await details.plan()).text.startswith("vertex 0 x2: datagen")
        sections = (await details.configuration()).sections
        assert sections["checkpoints"]["storage"] == f"{tmp_path}/seen"
        assert (await operations.ask("one", TakeSavepoint(name="mine"))).state == "UnderWay"
        with pytest.raises(DetailsError, match="another request"):
            await operations.ask("one", CancelJob())
        assert await done(live, "one") == "Done"
        kept = (await details.snapshots()).snapshots
        assert [s.name for s in kept if s.type == "Savepoint"] == ["mine"]
        await operations.ask("two", Rescale(parallelism=1, task_managers=1))
        assert await done(live, "two") == "Done"
        assert [v.parallelism for v in (await details.graph()).vertices] == [1, 1]
        await operations.ask("four", CancelJob())
        await live.ended()
        seen["state"] = (await details.job()).view.state
        seen["rates"] = [v.figures.rows_in_per_second for v in (await details.graph()).vertices]
        seen["series"] = (await details.metrics(MetricsQuery(names=["rowsIn"]))).series[0].values
        seen["log"] = [line.message for line in (await details.logs(LogQuery())).lines]

    checkpoints = fj.Checkpoints(interval=timedelta(seconds=0.5), location=tmp_path)
    with pytest.raises(JobCancelled):
        run_local(endless(), parallelism=2, serve=serve, checkpoints=checkpoints)
    assert (seen["state"], seen["rates"]) == ("Cancelled", [0.0, 0.0])
    assert seen["series"]
    assert "the job is running" in str(seen["log"])


def test_what_a_function_raised_and_printed_can_be_read_when_the_job_is_over() -> None:
    def broken(row: object) -> object:
        print("about to divide")  # noqa: T201
        return 1 / 0

    seen: dict[str, object] = {}

    async def serve(live: LiveJob) -> None:
        await live.ended()
        (failure,) = (await live.details.exceptions()).exceptions
        assert (failure.kind, failure.result, failure.code) == ("User", "Ended", "USER_CODE")
        assert "in broken" in failure.traceback
        assert failure.vertex == 0
        facts = await live.details.job()
        assert (facts.view.state, facts.exceptions) == ("Failed", 1)
        seen["printed"] = [
            (line.message, line.stream, line.slot)
            for line in (await live.details.logs(LogQuery(source="Slot"))).lines
        ]

    job = fj.Job("broken")
    job.write(job.read(fj.from_rows([{"a": 1}])).map(broken), fj.discard())
    with pytest.raises(UserCodeFailed):
        run_local(job, serve=serve)
    assert seen["printed"] == [("about to divide", "stdout", 0)]


def test_who_cannot_serve_a_job_stops_it() -> None:
    async def serve(live: LiveJob) -> None:
        raise OSError("the port is taken")

    with pytest.raises(OSError, match="port is taken"):
        run_local(endless(), serve=serve)


def test_lines_of_functions_are_known_by_their_task() -> None:
    def loud(row: Any) -> Any:
        print(f"got {row.a}")  # noqa: T201
        logging.getLogger("shop").warning("odd %d, password=hunter2", row.a)
        return row

    seen: list[tuple[str, str, int | None, int | None, str]] = []
    heard: list[str] = []

    async def serve(live: LiveJob) -> None:
        await live.ended()
        for line in (await live.details.logs(LogQuery(source="Slot"))).lines:
            seen.append((line.message, line.level, line.vertex, line.subtask, line.stream))

    job = fj.Job("loud")
    job.write(job.read(fj.from_rows([{"a": 7}])).map(loud), fj.discard())
    run_local(job, serve=serve, on_output=lambda slot, stream, lines: heard.extend(lines))
    assert sorted(seen) == [
        ("got 7", "INFO", 0, 0, "stdout"),
        ("odd 7, password=[redacted]", "WARNING", 0, 0, "log"),
    ]
    assert sorted(heard) == ["got 7", "odd 7, password=hunter2"]


PROGRAM = """
import flowjob as fj

class Args(fj.Args):
    parity: int = 0

def job(args: Args) -> fj.Job:
    job = fj.Job("seen")
    columns = {"k": fj.values.ints(0, 9), "at": fj.values.timestamps()}
    rows = job.read(fj.datagen(columns, rate=2000, event_time="at")).named("read")
    odd = rows.filter(fj.col("k") % 2 == args.parity)
    job.write(odd.key_by("k").agg(n=fj.count()).named("count"), fj.discard())
    return job
"""


NOT_IN_WORKERS = """
import sys
planned = getattr(sys.modules["__main__"].__spec__, "name", "") == "flowjob.cluster.planning"
if not planned and "flowjob.runtime.minicluster" not in sys.modules:
    raise OSError("not here")
"""


async def asked(live: LiveJob, id: str, request: Any) -> str:
    await live.operations.ask(id, request)
    return await done(live, id)


def test_a_job_of_this_machine_rests_goes_on_grows_and_becomes_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "seen", raising=False)
    (tmp_path / "seen.py").write_text(PROGRAM)
    entrypoint = locate("seen.py", {}, tmp_path)
    heard: list[str] = []

    async def serve(live: LiveJob) -> None:
        await until(live.details, "checkpoint")
        assert await asked(live, "rest", SuspendJob(name="first")) == "Done"
        assert (live.rests, (await live.details.job()).view.state) == (True, "Suspended")
        assert await asked(live, "on", ResumeJob()) == "Done"
        assert (live.rests, (await live.details.job()).view.state) == (False, "Running")
        while not (await live.details.job()).view.checkpoints.completed:
            await live.details.logs(LogQuery(after=10_000, wait=0.1))
        assert await asked(live, "grow", Rescale(parallelism=2, task_managers=1)) == "Done"
        assert (await live.details.job()).view.slots.task_managers == 2
        planned = await live.plan_upgrade(UpgradeJob(name="x", args={"parity": "1"}, parallelism=3))
        outcomes = {move.operator: (move.outcome, move.bytes) for move in planned.state}
        assert outcomes["count"][0] == "Redistributed"
        assert outcomes["count"][1]
        assert [c.field for c in planned.changes] == ["args.parity", "parallelism", "program"]
        wrong = UpgradeJob(name="no", args={"party": "1"})
        assert "did you mean `parity`" in await asked(live, "no", wrong)
        assert (await live.details.job()).view.state == "Running"
        changed = UpgradeJob(name="second", args={"parity": "1"}, parallelism=1)
        assert await asked(live, "other", changed) == "Done"
        assert (await live.details.job()).view.parallelism == 1
        assert await asked(live, "whole", VerifySnapshot(name="second")) == "Done"
        assert "no savepoint" in await asked(live, "none", VerifySnapshot(name="../seen"))
        assert await asked(live, "back", RestoreJob(name="second")) == "Done"
        assert await asked(live, "end", SuspendJob(name="third")) == "Done"
        assert "go on from" in await asked(live, "keep", DeleteSnapshot(name="third"))
        assert await asked(live, "away", DeleteSnapshot(name="first")) == "Done"
        kept = [s.name for s in (await live.details.snapshots()).snapshots if s.name]
        assert sorted(kept) == ["second", "third"]
        assert await asked(live, "over", CancelJob()) == "Done"
        await live.ended()
        assert (await live.details.job()).view.state == "Cancelled"

    run_local(
        load(entrypoint),
        serve=serve,
        source=from_script(entrypoint.target, entrypoint.args, entrypoint.sys_path),
        checkpoints=fj.Checkpoints(interval=timedelta(seconds=0.5), location=tmp_path / "kept"),
        on_event=lambda event: heard.append(event.text),
    )
    assert sum("starts from savepoint" in text for text in heard) == 3


def test_a_program_that_cannot_start_leaves_the_job_suspended_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "seen", raising=False)
    file = tmp_path / "seen.py"
    file.write_text(PROGRAM)
    entrypoint = locate("seen.py", {}, tmp_path)

    async def serve(live: LiveJob) -> None:
        await until(live.details, "state")
        while (await live.details.job()).view.state != "Running":
            await live.details.changes(after=(await live.details.changes()).next, wait=0.1)
        file.write_text(PROGRAM + NOT_IN_WORKERS)
        assert "suspended as it was" in await asked(live, "up", UpgradeJob(name="a"))
        assert live.rests
        file.write_text(PROGRAM)
        assert await asked(live, "on", ResumeJob()) == "Done"
        await asked(live, "over", CancelJob())
        await live.ended()

    with pytest.raises(JobCancelled):
        run_local(
            load(entrypoint),
            serve=serve,
            source=from_script(entrypoint.target, entrypoint.args, entrypoint.sys_path),
            checkpoints=fj.Checkpoints(interval=timedelta(seconds=0.5), location=tmp_path / "kept"),
        )
