"""Batches as bytes: one Arrow record batch message per frame, with timestamps and kinds as hidden columns.

Why here: which columns travel, in which types and how a batch is cut into frames is decided once per edge and must
be the same at both ends. Dictionary and view columns travel as plain values (a slice of them would ship all of its
parent). What is decoded has been validated in full: one bad offset would otherwise crash the process later."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob.errors import ProtocolError
from flowjob.plan.job_graph import Edge
from flowjob.plan.types import OBJECT_WIRE_SCHEMA
from flowjob.runtime.batch import Batch, Int8s, Kind

TS_COLUMN = "__ts"
KIND_COLUMN = "__kind"

ALL_INSERTS = 0x01
COMPRESSED = {"lz4": 0x02, "zstd": 0x04}
_CODEC_OF = {flag: name for name, flag in COMPRESSED.items()}
_COMPRESSED_MASK = 0x06
_RAW_SIZE = struct.Struct("<Q")

_UNREADABLE = (pa.ArrowException, OSError, EOFError, ValueError, OverflowError)
"""What Arrow raises over bytes that are no batch or schema."""

_TS_TYPE = pa.int64()
_KIND_TYPE = pa.int8()
_TS_FIELD = pa.field(TS_COLUMN, _TS_TYPE, nullable=False)
_KIND_FIELD = pa.field(KIND_COLUMN, _KIND_TYPE, nullable=False)


def columns_schema(edge: Edge) -> pa.Schema:
    """The columns of an edge's batches. Rows of an object stream are one pickled column, besides shipped keys."""
    if edge.type.schema is not None:
        return edge.type.schema
    schema = OBJECT_WIRE_SCHEMA
    for key in edge.partitioning.keys:
        if schema.get_field_index(key.column) < 0:
            schema = schema.append(pa.field(key.column, key.type))
    return schema


def pair_safe(kinds: Int8s | None, cut: int) -> int:
    """`cut`, or one row later where it would part an update's two rows."""
    if (
        kinds is not None
        and 0 < cut < len(kinds)
        and kinds[cut - 1] == Kind.UPDATE_BEFORE
        and kinds[cut] == Kind.UPDATE_AFTER
    ):
        return cut + 1
    return cut


class WireFormat:
    """How one edge's batches look on the wire.

    `encode` gives (flags, body, bytes) frames, `decode` takes them back; `conform` makes a batch fit the edge."""

    def __init__(
        self, edge: Edge, compression: str | None = None, largest: int = 256 << 20
    ) -> None:
        self.edge = edge
        self.schema = columns_schema(edge)
        fields = [pa.field(f.name, _plain(f.type), f.nullable) for f in self.schema]
        self._recoded = [i for i, f in enumerate(fields) if f.type != self.schema.field(i).type]
        self._plain = fields
        if edge.timestamps:
            fields = [*fields, _TS_FIELD]
        if edge.kinds:
            fields = [*fields, _KIND_FIELD]
        self.wire_schema = pa.schema(fields)
        self._width = _fixed_width(self.wire_schema)
        self._ts_at = len(self.schema)
        self._kind_at = len(self.wire_schema) - 1
        self._codec = pa.Codec(compression) if compression else None
        self._codec_flag = COMPRESSED[compression] if compression else 0
        self._largest = largest

    def schema_message(self) -> bytes:
        """What OPEN carries."""
        return bytes(self.wire_schema.serialize())

    def check_schema(self, message: bytes) -> None:
        """Raises ProtocolError when the producer's batches look otherwise."""
        try:
            schema = pa.ipc.read_schema(pa.py_buffer(message))
        except _UNREADABLE as error:
            raise ProtocolError(
                f"edge {self.edge.id}: the schema announced is unreadable: {error}"
            ) from error
        if not schema.equals(self.wire_schema):
            raise ProtocolError(
                f"edge {self.edge.id}: the producer sends\n{schema}\nwhere the consumer expects\n{self.wire_schema}\n"
                "Both sides must run the same program."
            )

    def size(self, batch: Batch) -> int:
        """About how many bytes `batch` takes; cheap."""
        if self._width is not None:
            return int(batch.columns.num_rows * self._width) >> 3
        extra = (8 if self.edge.timestamps else 0) + (1 if self.edge.kinds else 0)
        return int(pa.ipc.get_record_batch_size(batch.columns)) + extra * int(
            batch.columns.num_rows
        )

    def conform(self, batch: Batch) -> Batch:
        """`batch` with exactly the edge's columns, timestamps and kinds; itself when it has them."""
        edge = self.edge
        columns = batch.columns
        if not columns.schema.equals(self.schema):
            columns = self._project(columns)
        if edge.timestamps and batch.timestamps is None:
            raise ValueError(f"edge {edge.id}: rows without timestamps on a stream with event time")
        if (
            columns is batch.columns
            and edge.timestamps == (batch.timestamps is not None)
            and (edge.kinds or batch.kinds is None)
        ):
            return batch
        return Batch(
            columns,
            batch.timestamps if edge.timestamps else None,
            batch.kinds if edge.kinds else None,
        )

    def encode(self, batch: Batch, limit: int, max_rows: int) -> Iterator[tuple[int, Any, int]]:
        """(flags, body, bytes) frames of `batch`, in order, each at most about `limit` bytes and `max_rows` rows.

        A single row may take more; beyond the largest allowed it raises ValueError. The two rows of an update
        stay in one frame."""
        wire, flags = self._to_wire(batch)
        rows = wire.num_rows
        size = (
            rows * self._width >> 3
            if self._width is not None
            else pa.ipc.get_record_batch_size(wire)
        )
        if size <= limit and rows <= max_rows:
            yield self._body(wire, flags)
            return
        step = max(1, min(max_rows, rows * limit // max(size, 1)))
        for start, stop in cuts(rows, step, batch.kinds):
            yield from self._fit(wire, start, stop, limit, flags)

    def decode(self, flags: int, body: Any, size: int) -> Batch:
        """The batch of a frame. Raises ProtocolError for anything that is not one of this edge's batches."""
        try:
            if flags & _COMPRESSED_MASK:
                body = self._decompress(flags & _COMPRESSED_MASK, body, size)
            columns = pa.ipc.read_record_batch(body, self.wire_schema)
            columns.validate(full=True)
            timestamps = kinds = None
            if self.edge.kinds:
                if not flags & ALL_INSERTS:
                    kinds = columns.column(self._kind_at).to_numpy()
                    if len(kinds) and (kinds.min() < Kind.INSERT or kinds.max() > Kind.DELETE):
                        raise ProtocolError(f"edge {self.edge.id}: a row of an unknown kind")
                columns = columns.remove_column(self._kind_at)
            if self.edge.timestamps:
                timestamps = columns.column(self._ts_at).to_numpy()
                columns = columns.remove_column(self._ts_at)
            for i in self._recoded:
                field = self.schema.field(i)
                columns = columns.set_column(i, field, columns.column(i).cast(field.type))
        except _UNREADABLE as error:
            raise ProtocolError(f"edge {self.edge.id}: an unreadable batch: {error}") from error
        return Batch(columns, timestamps, kinds)

    def _to_wire(self, batch: Batch) -> tuple[Any, int]:
        columns, flags = batch.columns, 0
        for i in self._recoded:
            field = self._plain[i]
            columns = columns.set_column(i, field, columns.column(i).cast(field.type))
        if batch.timestamps is not None:
            columns = columns.append_column(_TS_FIELD, pa.array(batch.timestamps, _TS_TYPE))
        if self.edge.kinds:
            kinds = batch.kinds
            if kinds is None:
                flags = ALL_INSERTS
                kinds = np.zeros(len(batch), np.int8)
            columns = columns.append_column(_KIND_FIELD, pa.array(kinds, _KIND_TYPE))
        return columns, flags

    def _fit(
        self, wire: Any, start: int, stop: int, limit: int, flags: int
    ) -> Iterator[tuple[int, Any, int]]:
        """Rows start…stop, halved until they fit: rows of very different sizes defeat an estimate."""
        part = wire.slice(start, stop - start)
        rows = stop - start
        uneven = self._width is None and rows > 1
        if uneven and pa.ipc.get_record_batch_size(part) > limit + (limit >> 3):
            kinds = part.column(self._kind_at).to_numpy() if self.edge.kinds else None
            cut = pair_safe(kinds, rows // 2)
            if cut < rows:
                yield from self._fit(wire, start, start + cut, limit, flags)
                yield from self._fit(wire, start + cut, stop, limit, flags)
                return
        yield self._body(part, flags)

    def _body(self, wire: Any, flags: int) -> tuple[int, Any, int]:
        body = wire.serialize()
        if self._codec is not None:
            packed = self._codec.compress(body)
            if packed.size + _RAW_SIZE.size < body.size:
                body = pa.py_buffer(_RAW_SIZE.pack(body.size) + packed.to_pybytes())
                flags |= self._codec_flag
        if body.size > self._largest:
            raise ValueError(
                f"edge {self.edge.id}: a single row takes {body.size:,} bytes; at most {self._largest:,} can be "
                "sent. Split the value into several rows, or send a reference to it."
            )
        return flags, body, body.size

    def _decompress(self, flag: int, body: Any, size: int) -> Any:
        name = _CODEC_OF.get(flag)
        if name is None or size < _RAW_SIZE.size:
            raise ProtocolError(f"edge {self.edge.id}: a batch with unknown compression")
        (raw,) = _RAW_SIZE.unpack_from(body)
        if raw > self._largest:
            raise ProtocolError(f"edge {self.edge.id}: a batch that unpacks to {raw:,} bytes")
        return pa.Codec(name).decompress(
            body.slice(_RAW_SIZE.size, size - _RAW_SIZE.size), decompressed_size=raw
        )

    def _project(self, columns: Any) -> Any:
        """The edge's columns by name: for batches with more columns, or others' nullability or metadata."""
        try:
            arrays = [columns.column(name) for name in self.schema.names]
        except KeyError:
            arrays = []
        if len(arrays) != len(self.schema) or any(
            a.type != f.type for a, f in zip(arrays, self.schema)
        ):
            raise ValueError(
                f"edge {self.edge.id} carries\n{self.schema}\nbut was given rows of\n{columns.schema}"
            )
        if not arrays:
            return columns.select([])
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def cuts(rows: int, step: int, kinds: Int8s | None) -> Iterator[tuple[int, int]]:
    """(start, stop) of about `step` rows each, never between the two rows of an update."""
    start = 0
    while start < rows:
        stop = min(rows, pair_safe(kinds, min(rows, start + step)))
        yield start, stop
        start = stop


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type that `kind` travels as: no dictionaries, no views, at any depth."""
    types = pa.types
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return _plain(kind.value_type)
    if types.is_string_view(kind):
        return pa.large_string()
    if types.is_binary_view(kind):
        return pa.large_binary()
    if types.is_struct(kind):
        return pa.struct([f.with_type(_plain(f.type)) for f in kind])
    if types.is_map(kind):
        return pa.map_(_plain(kind.key_type), _plain(kind.item_type))
    if types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)), kind.list_size)
    if types.is_large_list(kind) or types.is_large_list_view(kind):
        return pa.large_list(kind.value_field.with_type(_plain(kind.value_type)))
    if types.is_list(kind) or types.is_list_view(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)))
    return kind


def _fixed_width(schema: pa.Schema) -> int | None:
    """Bits per row, or None when rows differ."""
    bits = 0
    for field in schema:
        try:
            bits += field.type.bit_width + (1 if field.nullable else 0)
        except ValueError:
            return None
    return bits
