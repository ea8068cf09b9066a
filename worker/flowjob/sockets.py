"""Sockets: `fj.sockets.lines`, `fj.sockets.jsonl` and `fj.sockets.csv` read, `fj.sockets.sink` writes.

All of them connect as clients to something that listens, and speak lines of UTF-8. A socket cannot be read again:
they are for trying things out and for feeds that may lose rows. Nothing is opened here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

from flowjob.connectors.formats.csv_decode import CsvOptions
from flowjob.connectors.formats.from_text import ISO, TextOptions
from flowjob.connectors.options import (
    IDLE_AFTER,
    NO_DELAY,
    check_event_time,
    check_on_bad_row,
    row_type,
)
from flowjob.connectors.options import event_time as _event_time
from flowjob.connectors.sockets.address import checked as _address
from flowjob.connectors.sockets.dialing import Reconnect
from flowjob.connectors.sockets.lines_format import LINE_SCHEMA as _LINE_SCHEMA
from flowjob.connectors.sockets.sink import Format, SocketSink
from flowjob.connectors.sockets.source import (
    LONGEST_LINE,
    CsvLines,
    JsonLines,
    LineFormat,
    PlainLines,
    SocketSource,
)
from flowjob.errors import PlanError, TypeMismatch

if TYPE_CHECKING:
    import pyarrow as pa

    from flowjob.connectors.base import OnBadRow
    from flowjob.schema import Schema

__all__ = ["Reconnect", "csv", "jsonl", "lines", "sink"]
