"""All Nexmark events in one stream: a type, and three nullable structs of which one is there.

Rows of the three kinds are made by rows.py and put where their events are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from flowjob.connectors.nexmark.config import EPOCH, Integers, Kind, NexmarkConfig, rows_before
from flowjob.connectors.nexmark.rows import generate
from flowjob.connectors.nexmark.schemas import EVENT_TYPE
from flowjob.connectors.options import projected


def generate_events(
    config: NexmarkConfig,
    first: int,
    count: int,
    columns: tuple[str, ...] | None = None,
    *,
    generator: int = 0,
) -> pa.RecordBatch:
    """Events first … first+count of a generator, cut at its end."""
    ids = config.range_of(generator)
    start = min(ids.start + first, ids.stop)
    stop = min(start + count, ids.stop)
    places = np.arange(start, stop, dtype=np.int64) % EPOCH
    types = np.select([places < k.first + k.share for k in Kind], [k.value for k in Kind])
    wanted = projected(EVENT_TYPE.schema, columns)
    made: list[pa.Array] = []
    for field in wanted:
        if field.name == "event_type":
            made.append(pa.array(types.astype(np.int64)))
        elif field.name == "date_time":
            numbers = np.arange(start, stop, dtype=np.int64) - (ids.start - 1)
            made.append(pa.array(config.times(numbers)).view(field.type))
        else:
            kind = Kind[field.name.upper()]
            made.append(_structs(config, kind, (ids.start, start, stop), types, generator))
    return pa.RecordBatch.from_arrays(made, schema=wanted)


def _structs(
    config: NexmarkConfig,
    kind: Kind,
    span: tuple[int, int, int],
    types: Integers,
    generator: int,
) -> pa.Array:
    """A struct for each event of `kind`, null for the others."""
    begin, start, stop = span
    before = rows_before(kind, begin)
    first, last = rows_before(kind, start) - before, rows_before(kind, stop) - before
    rows = generate(config, kind, first, last - first, generator=generator)
    mine = types == kind.value
    structs = pa.StructArray.from_arrays(rows.columns, fields=list(rows.schema))
    positions = np.cumsum(mine) - 1
    return structs.take(pa.array(positions, mask=~mine))
