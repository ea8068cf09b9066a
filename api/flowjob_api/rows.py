"""Jobs in the list, encoded once however often they are sent: a list of a thousand is asked for again and again.

A row stays the same object as long as its job does not change. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flowjob_api.schemas.jobs import JobSummary

_FIELDS: Final = set(JobSummary.model_fields)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Equal to itself only: sets tell at once which are new.

    key   namespace and name
    text  what a search looks at, without case
    body  a JobSummary as JSON
    """

    key: tuple[str, str]
    state: str
    text: str
    body: bytes


def row_of(job: JobSummary) -> Row:
    """Of more than a summary, the summary."""
    labels = (f"{key}={value}" for key, value in job.labels.items())
    parts = (job.name, job.namespace, job.image or "", *labels)
    return Row(
        key=(job.namespace, job.name),
        state=job.state,
        text="\n".join(parts).casefold(),
        body=job.model_dump_json(by_alias=True, include=_FIELDS).encode(),
    )
