"""What a job says to make a socket source or sink. Checks its words and opens nothing.

The public names are re-exported by flowjob/sockets.py."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

from flowjob.connectors.formats.csv_decode import CsvOptions
from flowjob.connectors.formats.from_text import EPOCHS, ISO, TextOptions
from flowjob.connectors.options import (
    IDLE_AFTER,
    NO_DELAY,
    check_event_time,
    check_on_bad_row,
    row_type,
)
from flowjob.connectors.options import event_time as event_time_of
from flowjob.connectors.sockets.address import checked
from flowjob.connectors.sockets.lines_format import LINE_SCHEMA
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
from flowjob.plan.types import StreamType

if TYPE_CHECKING:
    import pyarrow as pa

    from flowjob.connectors.base import OnBadRow
    from flowjob.connectors.sockets.dialing import Reconnect
    from flowjob.schema import Schema

CONNECT_TIMEOUT = timedelta(seconds=10)
MOST_LINE_BYTES = 1 << 30


def lines(
    host: str,
    port: int,
    *,
    on_bad_row: OnBadRow = "fail",
    max_line_bytes: int = LONGEST_LINE,
    reconnect: Reconnect | None = None,
    connect_timeout: timedelta = CONNECT_TIMEOUT,
) -> SocketSource:
    """Lines of text from something that listens at `host:port`: rows of one column, `line: str`.

    max_line_bytes   a longer line, `\\r` included, is a bad row; no more than that is kept of it
    reconnect        a `Reconnect`: the source never ends, and connects again when a connection does;
                     None: it ends when the peer closes the connection, and fails when that breaks
    connect_timeout  for one attempt
    on_bad_row       what becomes of a line that is too long or no UTF-8

    Not replayable: the bytes come once. Rows that were read but not yet written when a job fails are lost, and so is
    what the peer sent while nobody was connected. One subtask reads; each line is passed on as soon as it is there."""
    limits = _limits(on_bad_row, max_line_bytes, reconnect, connect_timeout)
    return _source(host, port, PlainLines(), StreamType(LINE_SCHEMA), limits)


def jsonl(
    host: str,
    port: int,
    schema: type[Schema] | pa.Schema,
    *,
    event_time: str | None = None,
    max_delay: timedelta = NO_DELAY,
    idle_after: timedelta | None = IDLE_AFTER,
    watermark_every: int | None = None,
    on_bad_row: OnBadRow = "fail",
    max_line_bytes: int = LONGEST_LINE,
    reconnect: Reconnect | None = None,
    connect_timeout: timedelta = CONNECT_TIMEOUT,
    time_format: str | Iterable[str] = ISO,
    timezone: str = "UTC",
) -> SocketSource:
    """One JSON object a line from something that listens at `host:port`. Keys that the schema does not name are
    ignored, blank lines too. Event time as for every source, `time_format` and `timezone` as in `fj.files.csv`, the
    rest as for `lines`; not replayable either."""
    limits = _limits(on_bad_row, max_line_bytes, reconnect, connect_timeout)
    limits["event_time"] = event_time_of(
        event_time, max_delay=max_delay, idle_after=idle_after, watermark_every=watermark_every
    )
    format = JsonLines(_text_options(time_format, timezone))
    return _source(host, port, format, row_type(schema), limits)


def csv(
    host: str,
    port: int,
    schema: type[Schema] | pa.Schema,
    *,
    event_time: str | None = None,
    max_delay: timedelta = NO_DELAY,
    idle_after: timedelta | None = IDLE_AFTER,
    watermark_every: int | None = None,
    on_bad_row: OnBadRow = "fail",
    max_line_bytes: int = LONGEST_LINE,
    reconnect: Reconnect | None = None,
    connect_timeout: timedelta = CONNECT_TIMEOUT,
    delimiter: str = ",",
    quote: str | None = '"',
    null_values: Iterable[str] = ("",),
    time_format: str | Iterable[str] = ISO,
    timezone: str = "UTC",
) -> SocketSource:
    """Comma-separated values from something that listens at `host:port`, without a header: the cells of a line are
    the schema's columns in order. A quoted cell has no line end. Options as for `jsonl` and `fj.files.csv`."""
    for what, character in (("delimiter", delimiter), ("quote", quote)):
        if character is not None and (len(character) != 1 or not character.isascii()):
            raise PlanError(f"{what} is one ASCII character, not {character!r}")
    limits = _limits(on_bad_row, max_line_bytes, reconnect, connect_timeout)
    limits["event_time"] = event_time_of(
        event_time, max_delay=max_delay, idle_after=idle_after, watermark_every=watermark_every
    )
    options = CsvOptions(
        delimiter=delimiter,
        quote=quote,
        header=False,
        null_values=tuple(null_values),
        multiline=False,
        text=_text_options(time_format, timezone),
    )
    return _source(host, port, CsvLines(options), row_type(schema), limits)


def sink(
    host: str,
    port: int,
    format: Format = "jsonl",
    *,
    connect_timeout: timedelta = CONNECT_TIMEOUT,
) -> SocketSink:
    """Sends rows to something that listens at `host:port`; each subtask has a connection of its own.

    format  "jsonl": one JSON object a line
            "csv": cells without a header; text is quoted, and a line end in it stays one
            "lines": the text of the only column, a null as an empty line

    A peer that does not read holds the job back. One that goes away before the end fails it; what it had not read by
    then is lost. At the end each connection is closed after everything was sent."""
    if format not in get_args(Format):
        raise PlanError(f"format is one of {', '.join(get_args(Format))}, not {format!r}")
    return SocketSink(address=checked(host, port), format=format, timeout=_seconds(connect_timeout))


def _source(
    host: str, port: int, format: LineFormat, declared: StreamType, limits: dict[str, Any]
) -> SocketSource:
    if declared.schema is None:
        raise TypeMismatch("a socket source gives columns: give it a Schema class")
    time = limits.get("event_time")
    check_event_time(declared.schema, None if time is None else time.column)
    return SocketSource(address=checked(host, port), format=format, declared=declared, **limits)


def _limits(
    on_bad_row: OnBadRow, longest: int, reconnect: Reconnect | None, timeout: timedelta
) -> dict[str, Any]:
    if not 1 <= longest <= MOST_LINE_BYTES:
        raise PlanError(f"max_line_bytes is 1 … {MOST_LINE_BYTES}, not {longest}")
    return {
        "on_bad_row": check_on_bad_row(on_bad_row),
        "longest": longest,
        "reconnect": reconnect,
        "timeout": _seconds(timeout),
    }


def _seconds(timeout: timedelta) -> float:
    if timeout <= timedelta(0):
        raise PlanError(f"connect_timeout must be positive, got {timeout}")
    return timeout.total_seconds()


def _text_options(formats: str | Iterable[str], timezone: str) -> TextOptions:
    chosen = (formats,) if isinstance(formats, str) else tuple(formats)
    for form in chosen:
        if form != ISO and form not in EPOCHS and "%" not in form:
            raise PlanError(
                f'time_format {form!r} is neither "iso", one of {", ".join(EPOCHS)}, nor a strptime '
                'pattern such as "%d.%m.%Y %H:%M"'
            )
    return TextOptions(chosen, timezone)
