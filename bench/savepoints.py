"""How long it takes to save a job with 1 GB of keyed state in S3, and to go on from there at another parallelism.

The job keeps running aggregates of as many keys as there are rows, and after that gets a few rows more all the time, so
that every key is there when the savepoint is asked for and every task has something to give when it goes on. The S3
server is a process of this machine, and works on the same processors."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import flowjob as fj
from bench.checkpoints import BEAT, Beats
from bench.s3_server import S3Server, s3_server
from flowjob.checkpointing import Checkpoints
from flowjob.connectors.base import Assignment, Position, Read, Source, Split, SplitReader
from flowjob.connectors.known_splits import KnownSplits
from flowjob.plan.types import StreamType
from flowjob.runtime.env import Clock, Env
from flowjob.runtime.jobmanager.asking import ask, read_whereabouts
from flowjob.runtime.jobmanager.request import Enough
from flowjob.runtime.messages import Answered, Ask
from flowjob.runtime.minicluster import control_file
from flowjob.runtime.real.control import WebSocketControl

KEYS = 18_000_000
"""Make a little more than 1 GB."""

SPLITS = 12
RATE = 100_000
"""Rows per second when all keys are there."""

JOB = "savepoint"
ANSWER_WITHIN = 5.0


class Numbered(fj.Schema):
    key: int
    value: int


@dataclass(frozen=True, kw_only=True)
class EveryKey(Source):
    """A row per key as fast as it goes, then the same keys again at `rate` rows per second, without end."""

    keys: int
    rate: float

    @property
    def name(self) -> str:
        return f"{self.keys:,} keys"

    @property
    def type(self) -> StreamType:
        return StreamType(Numbered.arrow_schema(), Numbered)

    @property
    def bounded(self) -> bool:
        return True

    @property
    def assignment(self) -> Assignment:
        return Assignment.DEAL

    def enumerator(self, env: Env) -> KnownSplits:
        return KnownSplits(tuple(Split(f"every-{i}", {"next": i}) for i in range(SPLITS)))

    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        return EveryKeyReader(self, (position or split.data)["next"], batch_rows, env.clock)


class EveryKeyReader(SplitReader):
    TICK = 0.05

    def __init__(self, source: EveryKey, first: int, batch_rows: int, clock: Clock) -> None:
        self._keys = source.keys
        self._some = max(1, int(source.rate * self.TICK / SPLITS))
        self._next = first
        self._batch_rows = batch_rows
        self._clock = clock

    async def read(self) -> Read | None:
        rows = self._batch_rows
        if self._next >= self._keys:
            await self._clock.sleep(self.TICK)
            rows = min(rows, self._some)
        numbers: Any = np.arange(self._next, self._next + rows * SPLITS, SPLITS, dtype=np.int64)
        self._next += rows * SPLITS
        arrays = [pa.array(numbers % self._keys), pa.array(numbers)]
        return Read(pa.RecordBatch.from_arrays(arrays, schema=Numbered.arrow_schema()))

    def position(self) -> Position:
        return {"next": self._next}


def _job(keys: int) -> fj.Job:
    job = fj.Job(JOB)
    totals = job.read(EveryKey(keys=keys, rate=RATE)).key_by("key")
    kept = totals.agg(
        rows=fj.count(), total=fj.sum("value"), least=fj.min("value"), most=fj.max("value")
    )
    job.write(kept, Beats(every=10_000))
    return job


@dataclass(frozen=True)
class Saved:
    """A savepoint, and how long it took from the request to the answer that it is committed."""

    place: str
    seconds: float
    bytes: int


def _save(server: S3Server, keys: int, parallelism: int) -> Saved:
    settings = _settings(server)
    answers: list[Answered | Exception] = []
    times: list[float] = []

    def wish() -> None:
        where = read_whereabouts(control_file(JOB, settings))
        assert where is not None
        times.append(time.monotonic())
        try:
            answers.append(
                asyncio.run(ask(WebSocketControl(), where, Ask(what="savepoint"), ANSWER_WITHIN))
            )
        except Exception as error:  # noqa: BLE001 - told by the thread that runs the job
            answers.append(error)
        times.append(time.monotonic())

    asking = threading.Thread(target=wish, daemon=True)

    def on_metrics(metrics: Mapping[Any, Mapping[str, Any]]) -> None:
        keyed = max(vertex for vertex, _ in metrics)
        if not times and sum(m["rows_in"] for t, m in metrics.items() if t[0] == keyed) >= keys:
            if not asking.is_alive():
                asking.start()
        elif len(times) == 2:
            raise Enough

    _job(keys).run(parallelism=parallelism, checkpoints=settings, on_metrics=on_metrics)
    asking.join()
    (answer,) = answers
    if isinstance(answer, Exception) or answer.place is None:
        raise RuntimeError(f"the savepoint was not taken: {answer}")
    return Saved(answer.place, times[1] - times[0], server.bytes_below(answer.place))


def _settings(server: S3Server) -> Checkpoints:
    return Checkpoints(location=f"{server.url}/jobs", endpoint=server.endpoint, interval=None)


def _line(name: str, keys: int, parallelism: int, seconds: float, size: int) -> dict[str, Any]:
    return {
        "name": name,
        "rows": keys,
        "seconds": round(seconds, 3),
        "bytes": size,
        "mb_per_second": round(size / seconds / 1e6, 1),
        "parallelism": parallelism,
    }


@contextlib.contextmanager
def _elsewhere() -> Iterator[None]:
    """In a directory of its own: a job on S3 says in the current one how it can be reached."""
    with (
        tempfile.TemporaryDirectory(prefix="flowjob-bench-") as directory,
        contextlib.chdir(Path(directory)),
    ):
        yield


def savepoint(rows: int | None, parallelism: int) -> dict[str, Any]:
    """From the request for a savepoint to the answer that it is committed."""
    keys = rows or KEYS
    with _elsewhere(), s3_server() as server:
        saved = _save(server, keys, parallelism)
        return _line("savepoint_1gb", keys, parallelism, saved.seconds, saved.bytes)


def rescale(rows: int | None, parallelism: int) -> dict[str, Any]:
    """From the start of a job with a savepoint, at one more than the parallelism that it was taken with, until every
    task has given its first row."""
    keys = rows or KEYS
    firsts: dict[int, int] = {}

    def on_report(_: str, message: bytes) -> None:
        pid, at, _ = BEAT.unpack(message)
        firsts.setdefault(pid, at)
        if len(firsts) > parallelism:
            raise Enough

    with _elsewhere(), s3_server() as server:
        saved = _save(server, keys, parallelism)
        began = time.time_ns() // 1000
        result = _job(keys).run(
            parallelism=parallelism + 1,
            checkpoints=_settings(server),
            start=saved.place,
            on_report=on_report,
        )
    seconds = (max(firsts.values()) - began) / 1e6
    line = _line("rescale_1gb", keys, parallelism, seconds, saved.bytes)
    phases = {f"{state}_s": round(after, 3) for state, after in result.phases.items()}
    return line | {"new_parallelism": parallelism + 1} | phases


BENCHMARKS = {"savepoint_1gb": savepoint, "rescale_1gb": rescale}
