"""Server-sent events: lines in, events out, as the HTML standard says. Pure.

Opening a stream, and opening it again where it broke off, is service.py's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """`id`: of the newest event that had one, for a stream that is opened again. `retry`: seconds, if it was said."""

    data: str
    kind: str = "message"
    id: str = ""
    retry: float | None = None


def events(lines: Iterable[str], last_id: str = "") -> Iterator[ServerEvent]:
    """The events of a stream. What is not closed by an empty line at its end is dropped, as the standard says."""
    data: list[str] = []
    kind, retry = "", None
    for line in lines:
        if not line:
            if data:
                yield ServerEvent("\n".join(data), kind or "message", last_id, retry)
            data, kind, retry = [], "", None
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                data.append(value)
            case "event":
                kind = value
            case "id" if "\0" not in value:
                last_id = value
            case "retry" if value.isascii() and value.isdigit():
                retry = int(value) / 1000
