"""What an exactly-once sink promises, checked: for ours and for those that users write.

Writers are driven directly, in the order in which a job would call them when it fails between any two steps. It must
not know what a committable is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.core.commits import CommitPermit
from flowjob.errors import LostData
from flowjob.plan.types import StreamType
from flowjob.runtime.batch import Batch
from flowjob.runtime.env import Env
from flowjob.testing.conformance import ReadBack, seen

Row = dict[str, Any]


async def check_exactly_once_sink(
    make: Callable[[], Sink], batches: Sequence[Batch], env: Env, read_back: ReadBack
) -> None:
    """Checks a sink that starts empty. `make` gives it anew, `read_back` all rows that are visible in its system.

    What was prepared shows only when it is committed, by whichever writer; once, however often; it survives the
    end of its writer, and is swept when no snapshot knows of it, by its heir: when that opens and again when its input
    has ended. Needs three batches or more, each with rows."""
    await _Checks(make, list(batches), env, read_back).all()


class _Checks:
    def __init__(
        self,
        make: Callable[[], Sink],
        batches: list[Batch],
        env: Env,
        read_back: ReadBack,
    ) -> None:
        if len(batches) < 3:
            raise ValueError("give at least three batches")
        self._make = make
        self._batches = batches
        self._read_back = read_back
        self._context = SinkContext(
            env=env,
            type=StreamType(batches[0].columns.schema),
            run_id="run",
            subtask=0,
            parallelism=2,
            commits=True,
        )
        self._expected: list[Row] = []

    async def all(self) -> None:
        await self._shows_only_what_is_committed()
        await self._lets_others_commit_what_outlived_its_writer()
        await self._sweeps_what_no_snapshot_knows()
        await self._sweeps_what_came_later()

    async def _shows_only_what_is_committed(self) -> None:
        first, second, third = self._batches[:3]
        writer = await self._writer(run="whole")
        await _write(writer, first)
        prepared = await writer.prepare(1)
        assert prepared, "rows were written, but there is nothing to commit"
        await _write(writer, second)
        await self._expect("was prepared, not committed")
        await writer.commit(prepared, CommitPermit(1, 1))
        self._add(first)
        await self._expect("first commit; rows behind the barrier must not show")
        await writer.commit(prepared, CommitPermit(1, 1))
        await self._expect("the same commit again")
        later = await writer.prepare(2)
        await _write(writer, third)
        await writer.finish()
        await self._expect("finished: the final snapshot has not been committed")
        later += await writer.prepare(3)
        assert await writer.prepare(4) == [], "nothing was written since the last snapshot"
        await writer.commit(later, CommitPermit(3, 1))
        await writer.close()
        self._add(second)
        self._add(third)
        await self._expect("two snapshots committed together")

    async def _lets_others_commit_what_outlived_its_writer(self) -> None:
        dead = await self._writer(run="resumed", subtask=1)
        await _write(dead, self._batches[0])
        pending = await dead.prepare(1)
        await _write(dead, self._batches[1])
        await dead.close()
        await self._expect("its writer has ended before the commit")
        heirs = [
            await self._writer(run="resumed", subtask=i, attempt=2, pending=pending)
            for i in range(2)
        ]
        await self._expect("restored, not committed")
        for heir in (
            heirs
        ):  # a commit of which nobody knows whether it was carried out is repeated, by anybody
            await heir.commit(pending, CommitPermit(1, 2))
        self._add(self._batches[0])
        await self._expect("committed by two others")
        await _write(heirs[1], self._batches[1])
        again = await heirs[1].prepare(2)
        await heirs[0].commit(again, CommitPermit(2, 2))
        self._add(self._batches[1])
        await self._expect("the same rows, written again in the next attempt")
        for heir in heirs:
            await heir.close()

    async def _sweeps_what_no_snapshot_knows(self) -> None:
        dead = await self._writer(run="failed")
        await _write(dead, self._batches[0])
        unknown = await dead.prepare(1)
        await dead.close()
        heir = await self._writer(run="failed", attempt=2, pending=[])
        await _expect_lost(heir, unknown)
        await heir.close()
        await self._expect("a snapshot that was never completed")

    async def _sweeps_what_came_later(self) -> None:
        """A task whose JobManager was overtaken does not know it at once."""
        overtaken = await self._writer(run="overtaken")
        heir = await self._writer(run="overtaken", attempt=2, pending=[])
        await _write(overtaken, self._batches[0])
        unknown = await overtaken.prepare(1)
        await overtaken.close()
        await heir.finish()
        await _expect_lost(heir, unknown)
        await heir.close()
        await self._expect("a snapshot of an attempt that went on beside its heir")

    async def _writer(
        self, *, run: str, subtask: int = 0, attempt: int = 1, pending: list[bytes] | None = None
    ) -> SinkWriter:
        context = replace(self._context, run_id=run, subtask=subtask, attempt=attempt)
        writer = self._make().writer(context)
        if pending is not None:
            writer.restore(pending)
        await writer.open()
        return writer

    def _add(self, batch: Batch) -> None:
        self._expected += batch.columns.to_pylist()

    async def _expect(self, when: str) -> None:
        found = sorted(map(repr, await seen(self._read_back)))
        expected = sorted(map(repr, self._expected))
        assert found == expected, f"{when}: visible are {found}, expected {expected}"


async def _expect_lost(heir: SinkWriter, unknown: list[bytes]) -> None:
    try:
        await heir.commit(unknown, CommitPermit(1, 2))
    except LostData:
        return
    raise AssertionError("what no snapshot knows of was kept, or its loss not noticed")


async def _write(writer: SinkWriter, batch: Batch) -> None:
    if (waiting := writer.write(batch)) is not None:
        await waiting
