"""Rows on their way between tasks, as parts of a snapshot: one Arrow file per channel, and who gets them back.

The consumer takes all of them: of each channel first what it had received, then what the producer had not sent. At
another parallelism rows are dealt by their shipped keys. It must not know tasks, or how data is overtaken."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from flowjob.errors import SnapshotError
from flowjob.plan.job_graph import Edge, Exchange
from flowjob.runtime.batch import Batch
from flowjob.runtime.checkpoint.manifest import Manifest, PartEntry
from flowjob.runtime.checkpoint.restoring import SnapshotReader
from flowjob.runtime.checkpoint.sections import Distribution, Section
from flowjob.runtime.checkpoint.state_files import write_parts
from flowjob.runtime.exchange.overtaking import InFlight
from flowjob.runtime.exchange.partitioners import HashPartitioner
from flowjob.runtime.exchange.serialization import columns_schema

TIMESTAMPS, KINDS = "__ts", "__kind"
"""Columns beside the edge's own, where it has event time or carries changes."""


def write_in_flight(channels: Iterable[InFlight]) -> tuple[list[PartEntry], bytes]:
    """The parts, slices of the bytes."""
    file = io.BytesIO()
    entries: list[PartEntry] = []
    for channel in channels:
        tables = [_table(channel.edge, batch) for batch in channel.batches()]
        if tables:
            name = f"{channel.edge.id}-{channel.producer}-{channel.consumer}"
            section = Section(
                f"{'received' if channel.received else 'waiting'}-{name}",
                Distribution.SPLIT,
                pa.concat_tables(tables),
                meta={
                    "operator": channel.operator,
                    "port": channel.edge.port,
                    "edge": channel.edge.id,
                    "producer": channel.producer,
                    "consumer": channel.consumer,
                    "received": channel.received,
                },
            )
            entries += write_parts([section], 1, range(1), file)
    return entries, file.getvalue()


@dataclass(frozen=True, slots=True)
class Consumer:
    """Who gets rows back: a subtask of the operator `uid`, which reads `edges`."""

    uid: str
    edges: Sequence[Edge]
    subtask: int
    parallelism: int
    max_parallelism: int


async def replay(reader: SnapshotReader, consumer: Consumer) -> list[tuple[int, Batch]]:
    """What the consumer is to process before anything else, with the port of each batch.

    Raises SnapshotError when an input has rows to be replayed and is no keyed one any more."""
    parts = parts_for(reader.manifest, consumer)
    tables = await reader.whole([entry for _, entry in parts])
    return [
        (edge.port, batch)
        for (edge, _), table in zip(parts, tables)
        for batch in _share(_checked(edge, table, consumer), table, consumer)
    ]


def parts_for(manifest: Manifest, consumer: Consumer) -> list[tuple[Edge, PartEntry]]:
    """The parts that may hold rows of a consumer, in the order in which they are to be given: of each channel first
    what was received. Edges into one port carry rows of one type, by one key: any of them says how to read them."""
    by_port = {e.port: e for e in consumer.edges if e.partitioning.exchange is Exchange.HASH}
    found = []
    for entry in (e for task in manifest.tasks for e in task.in_flight):
        if entry.meta["operator"] != consumer.uid:
            continue
        edge = by_port.get(entry.meta["port"])
        if edge is None:
            raise _unknown(consumer.uid)
        found.append((edge, entry))

    def order(part: tuple[Edge, PartEntry]) -> tuple[int, int, int, int]:
        meta = part[1].meta
        return meta["edge"], meta["producer"], not meta["received"], meta["consumer"]

    return sorted(found, key=order)


def _checked(edge: Edge, table: pa.Table, consumer: Consumer) -> Edge:
    if set(columns_schema(edge).names) - set(table.column_names):
        raise _unknown(consumer.uid)
    return edge


def _unknown(uid: str) -> SnapshotError:
    return SnapshotError(
        f"the snapshot holds rows on their way to the operator {uid}, which reads other rows now: start the old "
        "program from it, take a savepoint, and start the new one from that"
    )


def _share(edge: Edge, table: pa.Table, consumer: Consumer) -> Iterator[Batch]:
    """The consumer's rows, in order."""
    if consumer.parallelism == 1:
        yield from _batches(edge, table)
        return
    columns = [key.column for key in edge.partitioning.keys]
    partitioner = HashPartitioner(columns, consumer.max_parallelism, consumer.parallelism)
    for batch in _batches(edge, table):
        for target, rows in partitioner.split(batch):
            if target == consumer.subtask:
                yield rows


def _typed(column: pa.Array, type: pa.DataType) -> pa.Array:
    return column if column.type == type else column.cast(type)


def _batches(edge: Edge, table: pa.Table) -> Iterator[Batch]:
    schema = columns_schema(edge)
    for columns in table.to_batches():
        timestamps = kinds = None
        if edge.timestamps:
            timestamps = columns.column(TIMESTAMPS).to_numpy()
        if edge.kinds:
            kinds = columns.column(KINDS).to_numpy()
        arrays = [_typed(columns.column(f.name), f.type) for f in schema]
        yield Batch(pa.RecordBatch.from_arrays(arrays, schema=schema), timestamps, kinds)


def _table(edge: Edge, batch: Batch) -> pa.Table:
    columns = batch.columns
    if batch.timestamps is not None:
        columns = columns.append_column(TIMESTAMPS, pa.array(batch.timestamps, pa.int64()))
    if edge.kinds:
        kinds = pa.nulls(len(batch), pa.int8()).fill_null(0)
        if batch.kinds is not None:
            kinds = pa.array(batch.kinds, pa.int8())
        columns = columns.append_column(KINDS, kinds)
    return pa.Table.from_batches([columns])
