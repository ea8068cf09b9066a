"""A page of the list: filtered, cut, and with a token that says where the next one begins.

Pure. The token names the last job that was sent, not a position: jobs that come and go meanwhile neither hide others
nor show them twice."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from flowjob_api.problems import Refused
from flowjob_api.rows import Row


@dataclass(frozen=True, slots=True)
class Wanted:
    """states  any of them; empty: all
    text    part of a name, a namespace, an image or a label
    """

    states: tuple[str, ...] = ()
    text: str = ""
    limit: int = 100
    after: str | None = None


def page(rows: Sequence[Row], wanted: Wanted) -> bytes:
    """A JobList as JSON. `rows` by namespace and name. Raises Refused: INVALID for a token that is none of ours."""
    rest: Sequence[Row] = rows
    if wanted.after is not None:
        rest = rows[bisect_right(rows, _read(wanted.after), key=_key) :]
    if wanted.states:
        rest = [row for row in rest if row.state in wanted.states]
    if text := wanted.text.casefold():
        rest = [row for row in rest if text in row.text]
    shown = rest[: wanted.limit]
    token = _token(shown[-1]) if len(rest) > len(shown) else None
    counts = Counter([row.state for row in rows])
    return b'{"jobs":[%b],"next":%b,"counts":%b}' % (
        b",".join([row.body for row in shown]),
        msgspec.json.encode(token),
        msgspec.json.encode(counts),
    )


def _key(row: Row) -> tuple[str, str]:
    return row.key


def _token(last: Row) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(last.key)).decode()


def _read(token: str) -> tuple[str, str]:
    try:
        data = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        return msgspec.json.decode(data, type=tuple[str, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise Refused("INVALID", "query.continue: not a `next` of this list") from None
