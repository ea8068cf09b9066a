"""Files: `fj.files.csv`, `fj.files.jsonl` and `fj.files.parquet`.

With a Schema they are sources, with a path alone they are sinks: one name for both directions of a format. A sink's
path is a directory, in which each subtask writes its own files. Nothing is opened here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from datetime import timedelta
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Final, overload

import pyarrow as pa

from flowjob.connectors.files.encoders import (
    CsvEncoding,
    Encoding,
    JsonLinesEncoding,
    ParquetEncoding,
)
from flowjob.connectors.files.formats import CsvFormat, FileFormat, JsonLinesFormat
from flowjob.connectors.files.parquet_blocks import ParquetFormat
from flowjob.connectors.files.sink import FileSink, Roll
from flowjob.connectors.files.source import SPLIT_BYTES, FileSource
from flowjob.connectors.formats.csv_decode import CsvOptions
from flowjob.connectors.formats.from_text import EPOCHS, ISO, TextOptions
from flowjob.connectors.options import (
    IDLE_AFTER,
    NO_DELAY,
    check_event_time,
    check_on_bad_row,
    row_type,
)
from flowjob.connectors.options import event_time as _event_time
from flowjob.errors import PlanError, TypeMismatch
from flowjob.plan.where import caller

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from flowjob.connectors.base import OnBadRow, Source
    from flowjob.schema import Schema

    Row = TypeVar("Row", bound=Schema, default=Any)

__all__ = ["Path", "Paths", "csv", "jsonl", "parquet"]

Path = str | PathLike[str]
Paths = Path | Iterable[Path]
"""A path, a glob, a directory, or several of them."""

FOLLOW_EVERY = timedelta(seconds=10)


class _Unset:
    """Tells `schema=None` (take it from the file) from no schema at all (a sink)."""


_UNSET: Final = _Unset()


@overload
def csv(
    path: Paths,
    schema: type[Row],
    *,
    event_time: str | None = None,
    max_delay: timedelta = NO_DELAY,
    idle_after: timedelta | None = IDLE_AFTER,
    watermark_every: int | None = None,
    on_bad_row: OnBadRow = "fail",
    follow: bool | timedelta = False,
    split_bytes: int = SPLIT_BYTES,
    delimiter: str = ",",
    header: bool = True,
    quote: str | None = '"',
    null_values: Iterable[str] = ("",),
    multiline: bool = True,
    time_format: str | Iterable[str] = ISO,
    timezone: str = "UTC",
) -> Source[Row]: ...


@overload
def csv(path: Paths, schema: pa.Schema, **options: Any) -> Source[Any]: ...


@overload
def csv(
    path: Path,
    *,
    roll_rows: int | None = None,
    roll_bytes: int | None = 128 << 20,
    roll_after: timedelta | None = timedelta(minutes=1),
    compression: str | None = None,
    delimiter: str = ",",
    header: bool = True,
) -> FileSink: ...


def csv(path: Any, schema: Any = _UNSET, **options: Any) -> Source[Any] | FileSink:
    """Comma-separated values.

    Reading, with a schema; columns are found by the names of the header, others are ignored:
    header        False: the cells are the schema's columns in order
    null_values   cells that mean nothing, for nullable columns; a `str` column keeps its text
    quote         None: quotes are plain text
    multiline     False: quoted cells have no line ends; then one file is read by several subtasks
    time_format   "iso", "epoch_s", "epoch_ms", "epoch_us" or a strptime pattern; several are tried in order
    timezone      of times that name none
    follow        keep looking for new files; True: every 10 s
    and event_time, max_delay, idle_after, watermark_every, on_bad_row as for every source.

    Writing, with a directory alone: a new file after `roll_rows`, `roll_bytes` or `roll_after`, whichever comes first;
    compression "gzip", "zstd", "bz2" or "lz4"."""
    if isinstance(schema, _Unset):
        text = _pick(options, delimiter=",", header=True, compression=None)
        _check_characters(text["delimiter"], None)
        return _sink(path, CsvEncoding(**text), options)
    words = _pick(options, delimiter=",", header=True, quote='"', multiline=True)
    _check_characters(words["delimiter"], words["quote"])
    nulls = tuple(options.pop("null_values", ("",)))
    format = CsvFormat(CsvOptions(**words, null_values=nulls, text=_text_options(options)))
    return _source(path, schema, format, options)


@overload
def jsonl(
    path: Paths,
    schema: type[Row],
    *,
    event_time: str | None = None,
    max_delay: timedelta = NO_DELAY,
    idle_after: timedelta | None = IDLE_AFTER,
    watermark_every: int | None = None,
    on_bad_row: OnBadRow = "fail",
    follow: bool | timedelta = False,
    split_bytes: int = SPLIT_BYTES,
    time_format: str | Iterable[str] = ISO,
    timezone: str = "UTC",
) -> Source[Row]: ...


@overload
def jsonl(path: Paths, schema: pa.Schema, **options: Any) -> Source[Any]: ...


@overload
def jsonl(
    path: Path,
    *,
    roll_rows: int | None = None,
    roll_bytes: int | None = 128 << 20,
    roll_after: timedelta | None = timedelta(minutes=1),
    compression: str | None = None,
) -> FileSink: ...


def jsonl(path: Any, schema: Any = _UNSET, **options: Any) -> Source[Any] | FileSink:
    """One JSON object a line. Keys that the schema does not name are ignored. Options as for `csv`."""
    if isinstance(schema, _Unset):
        return _sink(path, JsonLinesEncoding(options.pop("compression", None)), options)
    return _source(path, schema, JsonLinesFormat(_text_options(options)), options)


@overload
def parquet(
    path: Paths,
    schema: type[Row],
    *,
    event_time: str | None = None,
    max_delay: timedelta = NO_DELAY,
    idle_after: timedelta | None = IDLE_AFTER,
    watermark_every: int | None = None,
    on_bad_row: OnBadRow = "fail",
    follow: bool | timedelta = False,
    split_bytes: int = SPLIT_BYTES,
) -> Source[Row]: ...


@overload
def parquet(path: Paths, schema: pa.Schema | None, **options: Any) -> Source[Any]: ...


@overload
def parquet(
    path: Path,
    *,
    roll_rows: int | None = None,
    roll_bytes: int | None = 128 << 20,
    roll_after: timedelta | None = timedelta(minutes=1),
    compression: str = "zstd",
    row_group_rows: int = 131_072,
) -> FileSink: ...


def parquet(path: Any, schema: Any = _UNSET, **options: Any) -> Source[Any] | FileSink:
    """Parquet. `schema` None: what the metadata of the first file says. Other options as for `csv`."""
    if isinstance(schema, _Unset):
        encoding = ParquetEncoding(**_pick(options, compression="zstd", row_group_rows=131_072))
        return _sink(path, encoding, options)
    return _source(path, schema, ParquetFormat(), options)


def _source(path: Paths, schema: Any, format: FileFormat, options: dict[str, Any]) -> FileSource:
    patterns = (path,) if isinstance(path, str | PathLike) else tuple(path)
    if not patterns:
        raise PlanError("no path to read from")
    times = _pick(options, max_delay=NO_DELAY, idle_after=IDLE_AFTER, watermark_every=None)
    column = options.pop("event_time", None)
    policy = check_on_bad_row(options.pop("on_bad_row", "fail"))
    follow = options.pop("follow", False)
    every = follow if isinstance(follow, timedelta) else FOLLOW_EVERY if follow else None
    split_bytes = options.pop("split_bytes", SPLIT_BYTES)
    _refuse(options, "a source")
    if schema is None and not isinstance(format, ParquetFormat):
        raise TypeMismatch(
            "only Parquet files say what their columns are; for others give a Schema class",
            where=caller(),
        )
    given = None if schema is None else row_type(schema)
    if given is not None:
        check_event_time(given.schema, column)
    return FileSource(
        patterns=tuple(_local(p) for p in patterns),
        format=format,
        given=given,
        follow=None if every is None else every.total_seconds(),
        split_bytes=split_bytes,
        event_time=_event_time(column, **times),
        on_bad_row=policy,
    )


def _sink(path: Path, encoding: Encoding, options: dict[str, Any]) -> FileSink:
    roll = Roll(
        options.pop("roll_rows", None),
        options.pop("roll_bytes", 128 << 20),
        options.pop("roll_after", timedelta(minutes=1)),
    )
    _refuse(options, "a sink (to read, give a schema as the second argument)")
    if not isinstance(path, str | PathLike):
        raise TypeError(f"a sink writes to one directory, got {path!r}")
    return FileSink(directory=_place(path), encoding=encoding, roll=roll)


def _check_characters(delimiter: str, quote: str | None) -> None:
    for what, character in (("delimiter", delimiter), ("quote", quote)):
        if character is not None and (len(character) != 1 or not character.isascii()):
            raise PlanError(f"{what} is one ASCII character, not {character!r}")


def _text_options(options: dict[str, Any]) -> TextOptions:
    formats = options.pop("time_format", ISO)
    chosen = (formats,) if isinstance(formats, str) else tuple(formats)
    for form in chosen:
        if form != ISO and form not in EPOCHS and "%" not in form:
            raise PlanError(
                f'time_format {form!r} is neither "iso", one of {", ".join(EPOCHS)}, nor a strptime '
                'pattern such as "%d.%m.%Y %H:%M"'
            )
    return TextOptions(chosen, options.pop("timezone", "UTC"))


def _pick(options: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """Takes the named options out, with their defaults."""
    return {name: options.pop(name, default) for name, default in defaults.items()}


def _refuse(rest: dict[str, Any], what: str) -> None:
    if rest:
        near = difflib.get_close_matches(next(iter(rest)), _OPTIONS.split(), n=1)
        hint = f"; did you mean `{near[0]}`?" if near and near[0] not in rest else ""
        raise TypeError(f"{', '.join(rest)}: no such option of {what}{hint}")


_OPTIONS = (
    "event_time max_delay idle_after watermark_every on_bad_row follow split_bytes delimiter header quote null_values "
    "multiline time_format timezone roll_rows roll_bytes roll_after compression row_group_rows"
)


def _place(path: Path) -> str:
    """Where a sink may write: a directory, or a bucket."""
    text = fspath(path)
    if not text.startswith("s3://"):
        return _local(path)
    from flowjob.connectors.files.s3_place import split_url

    split_url(text)
    return text


def _local(path: Path) -> str:
    text = fspath(path)
    if "://" in text:
        hint = (
            " to read from; sinks may also write to s3://bucket/prefix" if "s3://" in text else ""
        )
        raise PlanError(f"{text!r}: only files of local or mounted directories can be used{hint}")
    return text
