"""Text columns to typed columns: what CSV cells, JSON strings and lines of text mean.

Whole columns at a time; one value that cannot be read fails the column, and the caller narrows it down to the row.
Times without a zone are read in the declared zone, UTC unless said otherwise."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

ISO = "iso"
EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
"""Formats that are integers since the epoch, and how many µs one is."""

_OFFSET = r"\d\d:?\d\d.*([zZ]|[+-]\d\d(:?\d\d)?)$"
_OFFSET_AT_END = re.compile(_OFFSET)
_DURATION = re.compile(
    r"(?P<sign>-?)P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?"
    r"(?:(?P<seconds>\d+)(?:\.(?P<fraction>\d{1,6}))?S)?)?"
)


class BadValue(ValueError):
    """Text that is not what the schema says. The message is for a person."""


@dataclass(frozen=True, slots=True)
class TextOptions:
    """How times are written: `formats` are tried in order: "iso", "epoch_s", "epoch_ms", "epoch_us" or a strptime
    pattern; `zone` is the IANA zone of times that name none."""

    formats: tuple[str, ...] = (ISO,)
    zone: str = "UTC"


def from_text(text: pa.Array, kind: pa.DataType, options: TextOptions) -> pa.Array:
    """The values of a string array; nulls stay null. Raises BadValue or pa.ArrowInvalid."""
    types = pa.types
    if types.is_timestamp(kind):
        return to_timestamps(text, kind, options)
    if types.is_duration(kind):
        return _by_value(text, kind, to_duration)
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return _by_value(text, kind, to_bytes)
    if types.is_time(kind):
        dated = pc.binary_join_element_wise("1970-01-01 ", text, "")
        return dated.cast(pa.timestamp("us")).cast(kind)
    return text.cast(kind)


def to_timestamps(text: pa.Array, kind: pa.TimestampType, options: TextOptions) -> pa.Array:
    """Instants from text. Each value may be in any of the formats."""
    result = None
    for form in options.formats:
        parsed = _parse(text if result is None else _rest(text, result), form, options.zone)
        result = parsed if result is None else pc.coalesce(result, parsed)
        if result.null_count == text.null_count:
            break
    assert result is not None
    if result.null_count != text.null_count:
        wrong = text.filter(pc.and_(result.is_null(), text.is_valid()))[0].as_py()
        raise BadValue(f"{wrong!r} is not a time in the form {' or '.join(options.formats)}")
    if kind.tz is None:
        result = result.cast(pa.timestamp("us"))
    return result.cast(kind)


def _rest(text: pa.Array, done: pa.Array) -> pa.Array:
    return pc.if_else(done.is_valid(), None, text)


def _parse(text: pa.Array, form: str, zone: str) -> pa.Array:
    """timestamp[us, UTC], null where the text is not in this form."""
    utc = pa.timestamp("us", "UTC")
    if form in EPOCHS:
        numeric = pc.match_substring_regex(text, r"^-?\d{1,18}$")
        numbers = pc.if_else(numeric, text, None).cast(pa.int64())
        return pc.multiply(numbers, EPOCHS[form]).cast(pa.timestamp("us")).cast(utc)
    if form != ISO:
        return _parse_pattern(text, form, zone)
    try:
        # A cast that fails costs much more than one that succeeds: look at one value first.
        if _names_zone(text):
            return text.cast(utc)
        return _localize(text.cast(pa.timestamp("us")), zone)
    except pa.ArrowInvalid:
        return _parse_mixed(text, zone)


def _names_zone(text: pa.Array) -> bool:
    present = text.is_valid().index(True).as_py() if text.null_count else 0
    first = text[present].as_py() if 0 <= present < len(text) else ""
    return _OFFSET_AT_END.search(first or "") is not None


def _parse_mixed(text: pa.Array, zone: str) -> pa.Array:
    """With and without offsets, and perhaps wrong: value by value where columns do not help."""
    utc = pa.timestamp("us", "UTC")
    marked = pc.match_substring_regex(text, _OFFSET)
    try:
        zoned = pc.if_else(marked, text, None).cast(utc)
        plain = _localize(pc.if_else(marked, None, text).cast(pa.timestamp("us")), zone)
        return pc.coalesce(zoned, plain)
    except pa.ArrowInvalid:
        return pa.array([_iso(v, zone) for v in text.to_pylist()], utc)


def _iso(text: str | None, zone: str) -> datetime | None:
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    if value.tzinfo is not None:
        return value
    placed = value.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    exists = placed.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == value
    return placed if exists else None  # an hour that the clocks skipped is no time


def _localize(naive: pa.Array, zone: str) -> pa.Array:
    utc = pa.timestamp("us", "UTC")
    if zone == "UTC":
        return naive.cast(utc)
    return pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="raise").cast(utc)


def _parse_pattern(text: pa.Array, pattern: str, zone: str) -> pa.Array:
    utc = pa.timestamp("us", "UTC")
    if "%f" not in pattern:
        parsed = pc.strptime(text, format=pattern, unit="us", error_is_null=True)
        return parsed.cast(utc) if parsed.type.tz else _localize(parsed, zone)
    return pa.array([_strptime(v, pattern, zone) for v in text.to_pylist()], utc)


def _strptime(text: str | None, pattern: str, zone: str) -> datetime | None:
    """For fractions of seconds, which Arrow's strptime does not know."""
    if text is None:
        return None
    try:
        value = datetime.strptime(text, pattern)  # noqa: DTZ007 - the zone follows
    except ValueError:
        return None
    return (value if value.tzinfo else value.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)


def _by_value(text: pa.Array, kind: pa.DataType, convert: Any) -> pa.Array:
    return pa.array([None if v is None else convert(v) for v in text.to_pylist()], kind)


def to_bytes(text: str) -> bytes:
    """Base64, the only way bytes travel in text."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadValue(f"{text[:60]!r} is not base64") from None


def to_duration(text: str) -> timedelta:
    """An ISO 8601 duration in days and below: `PT90.5S`, `-P1DT2H`."""
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.group("days", "hours", "minutes", "seconds")):
        raise BadValue(f"{text[:60]!r} is not a duration such as PT1H30M or PT0.5S")
    part = {k: int(v or 0) for k, v in found.groupdict().items() if k not in ("sign", "fraction")}
    fraction = int((found["fraction"] or "").ljust(6, "0"))
    value = timedelta(**part) + timedelta(microseconds=fraction)
    return -value if found["sign"] else value
