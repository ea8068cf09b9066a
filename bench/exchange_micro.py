"""The exchange alone, between two processes: no operators, no job. `python -m bench.exchange_micro`.

Prints JSON lines: throughput at several batch sizes, latency at a low rate. A producer process writes as fast as its
writer allows; a consumer process polls its gate."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import uvloop

from flowjob.core.elements import END_OF_INPUT
from flowjob.plan.job_graph import Edge, Exchange, Partitioning
from flowjob.plan.types import KeyField, StreamType
from flowjob.runtime.batch import Batch
from flowjob.runtime.env import Env
from flowjob.runtime.exchange import (
    ChannelSpec,
    ExchangeSettings,
    Identity,
    InputGate,
    SlotAddress,
    SlotExchange,
)
from flowjob.runtime.real.clock import RealClock, RealRandom
from flowjob.runtime.real.network import RealNetwork

NAMES = ("auction", "bidder", "price", "sent")
SCHEMA = pa.schema([(n, pa.int64()) for n in NAMES])
KEY = KeyField("auction", "auction", pa.int64())
HASH = Edge(0, 0, 1, 0, Partitioning(Exchange.HASH, (KEY,)), StreamType(SCHEMA), True, False)
FORWARD = Edge(0, 0, 1, 0, Partitioning(Exchange.FORWARD), StreamType(SCHEMA), True, False)


def env() -> Env:
    nothing: Any = None
    return Env(RealClock(), RealNetwork(), nothing, nothing, RealRandom(), Path(), nothing)


def batch(rows: int) -> Batch:
    numbers = np.arange(rows)
    return Batch(pa.record_batch(dict.fromkeys(NAMES, numbers), schema=SCHEMA), numbers)


async def consume(edge: Edge, settings: ExchangeSettings, pipe: Connection) -> None:
    exchange = SlotExchange(env(), settings, Identity("bench", 1, "t", "consumer"))
    address = await exchange.listen("127.0.0.1")
    gates = [exchange.add_gate(1, i, [ChannelSpec(edge, 0)]) for i in range(consumers(edge))]
    pipe.send(address)
    latencies: list[float] = []
    await asyncio.gather(*(read(gate, latencies) for gate in gates))
    rows, size = sum(g.rows for g in gates), sum(g.bytes for g in gates)
    pipe.send((rows, size, time.process_time(), latencies))
    await asyncio.sleep(0.2)
    await exchange.close()


async def read(gate: InputGate, latencies: list[float]) -> None:
    yielded = 0.0
    while True:
        polled = gate.poll()
        if polled is None:
            await gate.wait(None)
            continue
        element = polled[2]
        if element is END_OF_INPUT:
            return
        if len(element) == 1:
            latencies.append(time.monotonic_ns() - element.columns.column("sent")[0].as_py())
        if time.monotonic() - yielded > 0.001:
            await asyncio.sleep(0)
            yielded = time.monotonic()


def consumers(edge: Edge) -> int:
    return 2 if edge.partitioning.exchange is Exchange.HASH else 1


async def produce(
    edge: Edge, settings: ExchangeSettings, address: tuple[str, int], rows: int, total: int
) -> float:
    exchange = SlotExchange(env(), settings, Identity("bench", 1, "t", "producer"))
    targets = range(consumers(edge))
    writer = exchange.add_output(edge, 0, targets, max_parallelism=128)
    await exchange.connect({(1, i): SlotAddress("consumer", *address) for i in targets})
    one, written, yielded = batch(rows), 0, 0.0
    began = time.monotonic()
    while written < total:
        if writer.blocked:
            await writer.writable()
        if rows == 1:
            sent = pa.array([time.monotonic_ns()])
            await asyncio.sleep(0.0007)
            sent = pa.array([time.monotonic_ns()])
            one = Batch(
                pa.RecordBatch.from_arrays([sent] * 4, schema=SCHEMA), np.zeros(1, np.int64)
            )
        elif time.monotonic() - yielded > 0.001:
            await asyncio.sleep(0)
            yielded = time.monotonic()
        writer.write(one)
        written += rows
    writer.control(END_OF_INPUT)
    await exchange.drain()
    seconds = time.monotonic() - began
    await exchange.close()
    return seconds


def consumer(edge: Edge, settings: ExchangeSettings, pipe: Connection, profile: bool) -> None:
    _run(consume(edge, settings, pipe), profile)


def _run(coroutine: Any, profile: bool) -> Any:
    if not profile:
        return uvloop.run(coroutine)
    import cProfile
    import pstats

    with cProfile.Profile() as profiler:
        result = uvloop.run(coroutine)
    pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(25)
    return result


def measure(
    name: str, edge: Edge, settings: ExchangeSettings, rows: int, total: int, profile: bool
) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=consumer, args=(edge, settings, theirs, profile)
    )
    process.start()
    cpu = time.process_time()
    seconds = _run(produce(edge, settings, ours.recv(), rows, total), profile)
    cpu = time.process_time() - cpu
    received, size, consumer_cpu, latencies = ours.recv()
    process.join()
    result: dict[str, Any] = {
        "name": name, "rows": received, "seconds": round(seconds, 3),
        "million_rows_per_second": round(received / seconds / 1e6, 2),
        "gb_per_second": round(size / seconds / 1e9, 2),
        "producer_cpu": round(cpu, 2), "consumer_cpu": round(consumer_cpu, 2),
    }  # fmt: skip
    if latencies:
        p50, p99 = np.percentile(latencies, [50, 99]) / 1e6
        result |= {"p50_ms": round(p50, 3), "p99_ms": round(p99, 3)}
    print(json.dumps(result))


def main() -> None:
    wanted, profile = sys.argv[1:], "--profile" in sys.argv
    base = ExchangeSettings()
    small = replace(base, batch_rows=64)
    for name, edge, settings, rows, total in (
        ("exchange_64", FORWARD, small, 64, 10_000_000),
        ("exchange_1000", FORWARD, replace(base, batch_rows=1000), 1000, 50_000_000),
        ("exchange_full", FORWARD, base, 16_384, 100_000_000),
        ("exchange_64_cut_from_full", FORWARD, small, 16_384, 10_000_000),
        ("hash_64", HASH, small, 64, 10_000_000),
        ("hash_64_gathered", HASH, base, 64, 10_000_000),
        ("hash_full", HASH, base, 16_384, 50_000_000),
        ("latency_1k", FORWARD, base, 1, 2_000),
        ("latency_1k_at_once", FORWARD, replace(base, flush_interval=0.0), 1, 2_000),
    ):
        if not wanted or name in wanted or wanted == ["--profile"]:
            measure(name, edge, settings, rows, total, profile)


if __name__ == "__main__":
    main()
