"""Where simulated jobs write to: an outside system with transactions, and the sink that uses it.

Writers stage rows and commit them by name, as a two-phase sink must; the ledger notes everything that such a system
would complain about. It belongs to the world and outlives every process in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.core.commits import CommitPermit
from flowjob.testing.simulation.world import World, current_world

if TYPE_CHECKING:
    from flowjob.runtime.batch import Batch

Row = dict[str, Any]


def _always(_: int) -> bool:
    return True


@dataclass
class Ledger:
    """rows          are visible, in the order in which they became so
    faults        broken promises of the engine
    is_published  whether results of that checkpoint may be made visible
    """

    staged: dict[str, tuple[int, list[Row]]] = field(default_factory=dict)
    committed: dict[str, int] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    is_published: Callable[[int], bool] = _always

    def stage(self, name: str, rows: list[Row], checkpoint: int = 0) -> None:
        """`rows` were written before that checkpoint, and after all earlier ones."""
        if name in self.staged:
            self.faults.append(f"transaction {name} was staged twice")
        self.staged[name] = checkpoint, rows

    def commit(self, name: str, permit: CommitPermit | None) -> None:
        """Again is no error. Raises RuntimeError when it is not known."""
        if name not in self.staged:
            self.faults.append(f"commit of {name}, which was never staged")
            raise RuntimeError(f"transaction {name} is lost")
        if permit is not None and not self.is_published(permit.checkpoint):
            self.faults.append(f"{name} committed for {permit}, of which the log knows nothing")
        if name not in self.committed:
            self.committed[name], rows = self.staged[name]
            self.rows += rows

    def rewind(self, checkpoint: int) -> None:
        """People set the outside system back to where a snapshot is: what was written after it is undone."""
        self.committed = {name: c for name, c in self.committed.items() if c <= checkpoint}
        self.rows = [row for name in self.committed for row in self.staged[name][1]]


@dataclass(frozen=True, kw_only=True)
class LedgerSink(Sink):
    """`slow`, `slow_commit`: the most virtual seconds that a write, or a commit, takes."""

    title: str = ""
    slow: float = 0.0
    slow_commit: float = 0.0

    @property
    def name(self) -> str:
        return f"ledger {self.title}".rstrip()

    def writer(self, context: SinkContext) -> SinkWriter:
        return _Writer(self, context)


class _Writer(SinkWriter):
    def __init__(self, sink: LedgerSink, context: SinkContext) -> None:
        self._sink = sink
        self._context = context
        self._world: World = current_world()
        self._rows: list[Row] = []
        self._count = 0

    def write(self, batch: Batch) -> Awaitable[None] | None:
        self._rows += batch.columns.to_pylist()
        slow = self._sink.slow
        return self._pause() if slow and self._context.env.random.random() < 0.5 else None

    async def prepare(self, checkpoint: int) -> list[bytes]:
        name = await self._stage(checkpoint)
        return [] if name is None else [name.encode()]

    async def commit(self, committables: list[bytes], permit: CommitPermit) -> None:
        env = self._context.env
        await env.clock.sleep(self._sink.slow_commit * env.random.random())
        for committable in committables:
            await self._pause()
            self._world.ledger.commit(committable.decode(), permit)

    async def finish(self) -> None:
        if not self._context.commits:
            name = await self._stage(0)
            if name is not None:
                await self._pause()
                self._world.ledger.commit(name, None)

    async def _stage(self, checkpoint: int) -> str | None:
        if not self._rows:
            return None
        context = self._context
        self._count += 1
        name = (
            f"{self._sink.title}/{context.run_id}-{context.attempt}-{context.subtask}-{self._count}"
        )
        rows, self._rows = self._rows, []
        await self._pause()
        self._world.ledger.stage(name, rows, checkpoint)
        await self._pause()
        return name

    async def _pause(self) -> None:
        env = self._context.env
        await env.clock.sleep(self._sink.slow * env.random.random())
