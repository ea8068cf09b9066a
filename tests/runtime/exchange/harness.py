"""Slots with real sockets in one event loop, and edges between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob.core.elements import END_OF_INPUT
from flowjob.plan.job_graph import Edge, Exchange, Partitioning, consumers_of
from flowjob.plan.types import KeyField, StreamType
from flowjob.runtime.batch import Batch
from flowjob.runtime.env import Env, Network
from flowjob.runtime.exchange import (
    ChannelSpec,
    EdgeWriter,
    ExchangeSettings,
    Identity,
    InputGate,
    SlotAddress,
    SlotExchange,
)
from flowjob.runtime.real.clock import RealClock, RealRandom
from flowjob.runtime.real.network import RealNetwork

NUMBERS = StreamType(pa.schema([("n", pa.int64())]))
SOURCE, TARGET = 0, 1
Run = Callable[[Any], Any]
"""Runs a coroutine to its end on a loop of its own (conftest.py)."""
DEFAULTS = ExchangeSettings()


def env() -> Env:
    """Clock and network of this machine; nothing else is needed."""
    nothing: Any = None
    return Env(RealClock(), RealNetwork(), nothing, nothing, RealRandom(), Path(), nothing)


def edge(
    exchange: Exchange = Exchange.HASH,
    stream: StreamType = NUMBERS,
    *,
    number: int = 0,
    keys: Sequence[str] = ("n",),
    timestamps: bool = False,
    kinds: bool = False,
    port: int = 0,
    **partitioning: Any,
) -> Edge:
    assert stream.schema is not None
    fields = ()
    if exchange is Exchange.HASH:
        fields = tuple(KeyField(k, k, stream.schema.field(k).type) for k in keys)
    how = Partitioning(exchange, keys=fields, **partitioning)
    return Edge(number, SOURCE, TARGET, port, how, stream, timestamps, kinds)


def numbers(*values: int) -> Batch:
    return Batch(pa.record_batch({"n": pa.array(values, pa.int64())}))


def sequence(start: int, count: int) -> Batch:
    return Batch(pa.record_batch({"n": np.arange(start, start + count)}))


class Cluster:
    """Producers of edges in some slots, consumers in others; `placed` is (vertex, subtask) -> slot name."""

    def __init__(
        self, slots: Mapping[str, SlotExchange], placed: Mapping[tuple[int, int], str]
    ) -> None:
        self.slots = slots
        self.placed = placed
        self.gates: dict[int, InputGate] = {}
        self.writers: dict[tuple[int, int], EdgeWriter] = {}
        self.addresses: dict[str, SlotAddress] = {}

    async def start(self, edges: Sequence[Edge]) -> None:
        for name, slot in self.slots.items():
            host, port = await slot.listen("127.0.0.1")
            self.addresses[name] = SlotAddress(name, host, port)
        count = {v: sum(1 for w, _ in self.placed if w == v) for v in (SOURCE, TARGET)}
        for (vertex, subtask), name in self.placed.items():
            slot = self.slots[name]
            if vertex == SOURCE:
                for e in edges:
                    consumers = consumers_of(e, subtask, count[SOURCE], count[TARGET])
                    self.writers[e.id, subtask] = slot.add_output(
                        e, subtask, consumers, max_parallelism=128
                    )
            else:
                specs = [
                    ChannelSpec(e, producer)
                    for e in edges
                    for producer in range(count[SOURCE])
                    if subtask in consumers_of(e, producer, count[SOURCE], count[TARGET])
                ]
                self.gates[subtask] = slot.add_gate(vertex, subtask, specs)
        locations = {place: self.addresses[name] for place, name in self.placed.items()}
        await asyncio.gather(*(s.connect(locations) for s in self.slots.values()))


@asynccontextmanager
async def cluster(
    edges: Sequence[Edge],
    placed: Mapping[tuple[int, int], str],
    settings: ExchangeSettings = DEFAULTS,
    network: Network | None = None,
) -> AsyncIterator[Cluster]:
    """Connected slots, by `network` if that is another one; closed at the end, when nothing may be left of them."""
    names = sorted(set(placed.values()))
    world = env() if network is None else replace(env(), network=network)
    slots = {n: SlotExchange(world, settings, Identity("job", 1, "secret", n)) for n in names}
    made = Cluster(slots, placed)
    try:
        await made.start(edges)
        yield made
    finally:
        for slot in slots.values():
            await slot.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left


def one_to_one(*, local: bool = False) -> dict[tuple[int, int], str]:
    return {(SOURCE, 0): "left", (TARGET, 0): "left" if local else "right"}


async def read(gate: InputGate, count: int) -> list[Any]:
    """The next `count` elements as (channel, element)."""
    got: list[Any] = []
    async with asyncio.timeout(20):
        while len(got) < count:
            polled = gate.poll()
            if polled is None:
                await gate.wait(None)
            else:
                got.append((polled[0], polled[2]))
    return got


async def read_to_end(gate: InputGate) -> dict[int, list[Any]]:
    """Everything, by channel, until all channels have ended (END included)."""
    got: dict[int, list[Any]] = {i: [] for i in range(len(gate.channels))}
    async with asyncio.timeout(20):
        while not all(e and e[-1] is END_OF_INPUT for e in got.values()):
            polled = gate.poll()
            if polled is None:
                await gate.wait(None)
            else:
                got[polled[0]].append(polled[2])
    return got


def rows_of(elements: Sequence[Any]) -> list[int]:
    return [n for e in elements if isinstance(e, Batch) for n in e.columns.column("n").to_pylist()]
