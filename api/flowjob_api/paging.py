"""A page of the list: filtered, cut, and with a token that says where the next one begins.

Pure. The token names the last job that was sent, not a position: jobs that come and go meanwhile neither hide others
nor show them twice."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from flowjob_api.problems import Refused
from flowjob_api.schemas.jobs import JobList, JobSummary


@dataclass(frozen=True, slots=True)
class Wanted:
    """states  any of them; empty: all
    text    part of a name, a namespace, an image or a label
    """

    states: tuple[str, ...] = ()
    text: str = ""
    limit: int = 100
    after: str | None = None


def page(jobs: Sequence[JobSummary], wanted: Wanted) -> JobList:
    """`jobs` by namespace and name. Raises Refused: INVALID for a token that is none of ours."""
    behind = None if wanted.after is None else _read(wanted.after)
    found = [job for job in jobs if _fits(job, wanted)]
    rest = [job for job in found if behind is None or (job.namespace, job.name) > behind]
    shown = rest[: wanted.limit]
    more = len(rest) > len(shown)
    return JobList(
        jobs=shown,
        next=_token(shown[-1]) if more else None,
        counts=dict(Counter(job.state for job in jobs)),
    )


def _fits(job: JobSummary, wanted: Wanted) -> bool:
    if wanted.states and job.state not in wanted.states:
        return False
    text = wanted.text.casefold()
    if not text:
        return True
    labels = (f"{key}={value}" for key, value in job.labels.items())
    return any(
        text in part.casefold() for part in (job.name, job.namespace, job.image or "", *labels)
    )


def _token(last: JobSummary) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([last.namespace, last.name])).decode()


def _read(token: str) -> tuple[str, str]:
    try:
        data = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        return msgspec.json.decode(data, type=tuple[str, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise Refused("INVALID", "query.continue: not a `next` of this list") from None
