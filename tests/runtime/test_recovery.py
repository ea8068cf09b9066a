"""Jobs that are hit while they run, in real processes: what comes out is exactly what comes out of an unharmed one."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

import flowjob as fj
from flowjob.checkpointing import Checkpoints
from flowjob.connectors.files.sink import file_prefix
from flowjob.errors import UserCodeFailed
from flowjob.plan import compile_job
from flowjob.plan.specs import SinkSpec
from flowjob.runtime.jobmanager.request import (
    EarlierRunFound,
    JobEvent,
    RestorePlanned,
    WorkersRestarted,
)

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("scratch")]

ROWS = 6_000
KEYS = 7
WINDOW = 500


class Row(fj.Schema):
    key: int
    value: int
    at: int


def counted(directory: Path, *, fails_at: int | None = None, slow: bool = True) -> fj.Job:
    """Counts and sums per key and window, from two files to files; a row that takes a while every now and then."""

    def step(row: Row) -> Row:
        if row.value == fails_at and not (directory / "has failed").exists():
            (directory / "has failed").touch()
            raise ValueError("the network was away")
        if slow and row.value % 50 == 0:
            time.sleep(0.01)
        return row

    job = fj.Job("counted")
    rows = job.read(fj.files.csv(f"{directory}/in/*.csv", Row, event_time="at")).map(step)
    windows = rows.key_by("key").window(fj.tumbling(timedelta(microseconds=WINDOW)))
    job.write(windows.agg(n=fj.count(), total=fj.sum("value")), fj.files.jsonl(f"{directory}/out"))
    return job


def write_input(directory: Path) -> None:
    (directory / "in").mkdir(exist_ok=True)
    lines = "".join(f"{n % KEYS},{n},{n}\n" for n in range(ROWS))
    for name in ("a", "b"):
        (directory / "in" / f"{name}.csv").write_text(f"key,value,at\n{lines}")


def expected() -> Counter[tuple[int, int, int]]:
    totals: dict[tuple[int, int], list[int]] = {}
    for n in range(ROWS):
        found = totals.setdefault((n % KEYS, n // WINDOW), [0, 0])
        found[0] += 2
        found[1] += 2 * n
    return Counter((key, n, total) for (key, _), (n, total) in totals.items())


def results(directory: Path) -> Counter[tuple[int, int, int]]:
    rows = [
        json.loads(line)
        for file in (directory / "out").iterdir()
        if file.is_file() and not file.name.startswith(".")
        for line in file.read_text().splitlines()
    ]
    return Counter((row["key"], row["n"], row["total"]) for row in rows)


class Hit:
    """Does something once there is a second checkpoint; a listener, so that no thread is needed."""

    def __init__(self, directory: Path, act: Callable[[], object]) -> None:
        self._second = directory / "checkpoints" / "counted" / "checkpoints" / "2"
        self._act: Callable[[], object] | None = act

    def on_metrics(self, _: object) -> None:
        if self._act is not None and any(self._second.glob("*/manifest.json")):
            act, self._act = self._act, None
            act()


def frequent(directory: Path) -> Checkpoints:
    return Checkpoints(
        location=directory / "checkpoints",
        interval=timedelta(milliseconds=100),
        min_pause=timedelta(0),
    )


def leave_unfinished(directory: Path) -> Path:
    """A file of the run, as a slot leaves it that is killed."""
    entry = directory / "checkpoints" / "counted" / "log" / "000000000002.json"
    run = json.loads(entry.read_text())["record"]["run"]
    nodes = [n for v in compile_job(counted(directory), parallelism=2).vertices for n in v.nodes]
    (sink,) = [n.uid for n in nodes if isinstance(n.spec, SinkSpec)]
    prefix = file_prefix(run, sink or "")
    path = directory / "out" / f".{prefix}1-0007-00000.jsonl.inprogress"
    path.touch()
    return path


def run(
    directory: Path,
    act: Callable[[], object] = lambda: None,
    *,
    job: fj.Job | None = None,
    parallelism: int = 2,
    start: str | None = None,
) -> list[JobEvent]:
    events: list[JobEvent] = []
    (job or counted(directory)).run(
        parallelism=parallelism,
        run={"batch_rows": 200},
        checkpoints=frequent(directory),
        start=start,
        on_metrics=Hit(directory, act).on_metrics,
        on_event=events.append,
    )
    return events


def taskmanager() -> psutil.Process:
    return next(
        p for p in psutil.Process().children() if "flowjob.runtime.taskmanager" in p.cmdline()
    )


def kill_a_slot() -> None:
    os.kill(taskmanager().children()[0].children()[0].pid, signal.SIGKILL)


def kill_the_taskmanager() -> None:
    os.kill(taskmanager().pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (kill_a_slot, r"slot \d \(pid \d+\) of taskmanager-1 was killed by signal 9 \(SIGKILL\)"),
        (kill_the_taskmanager, r"taskmanager-1 \(pid \d+\) was killed by signal 9 \(SIGKILL\)"),
    ],
)
def test_a_killed_process_costs_no_row_and_doubles_none(
    tmp_path: Path, act: Callable[[], None], said: str
) -> None:
    write_input(tmp_path)
    events = run(tmp_path, act)
    assert results(tmp_path) == expected()
    again = [e.text for e in events if isinstance(e, WorkersRestarted)]
    assert len(again) == 1
    pattern = said + r"; restarted from checkpoint \d+ in \d+\.\d s \(attempt 2\)"
    assert re.fullmatch(pattern, again[0])


def test_a_function_that_fails_once_is_tried_again_from_the_last_checkpoint(tmp_path: Path) -> None:
    write_input(tmp_path)
    events = run(tmp_path, job=counted(tmp_path, fails_at=ROWS - 500))
    assert results(tmp_path) == expected()
    again = [e.text for e in events if isinstance(e, WorkersRestarted)]
    assert len(again) == 1
    assert again[0].startswith("ValueError: the network was away in ")


def test_a_function_that_fails_before_there_is_a_checkpoint_ends_the_job_at_once(
    tmp_path: Path,
) -> None:
    write_input(tmp_path)
    job = counted(tmp_path, fails_at=0)
    with pytest.raises(UserCodeFailed, match="the network was away"):
        job.run(checkpoints=Checkpoints(location=tmp_path / "checkpoints"))


def test_a_run_that_was_broken_off_goes_on_at_another_parallelism(tmp_path: Path) -> None:
    write_input(tmp_path)

    def stop() -> None:
        raise RuntimeError("switched off")

    with pytest.raises(RuntimeError, match="switched off"):
        run(tmp_path, stop)
    unfinished = leave_unfinished(tmp_path)
    events = run(tmp_path, parallelism=3, start="latest", job=counted(tmp_path, slow=False))
    assert results(tmp_path) == expected()
    assert not unfinished.exists()
    assert isinstance(events[0], RestorePlanned)
    assert events[0].text.startswith("starts from checkpoint ")


def test_a_run_that_begins_with_nothing_says_what_it_could_have_continued(tmp_path: Path) -> None:
    write_input(tmp_path)

    def stop() -> None:
        raise RuntimeError("switched off")

    with pytest.raises(RuntimeError, match="switched off"):
        run(tmp_path, stop)
    for file in (tmp_path / "out").iterdir():
        file.unlink()
    events = run(tmp_path, job=counted(tmp_path, slow=False))
    assert results(tmp_path) == expected()
    assert isinstance(events[0], EarlierRunFound)
    assert "--from latest" in events[0].text
