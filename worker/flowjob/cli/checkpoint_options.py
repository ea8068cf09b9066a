"""What the command line says about checkpoints, on top of what the job itself says.

Imported when a command runs, never for parsing. It must not know how jobs are run."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import typer

from flowjob.checkpointing import Checkpoints
from flowjob.errors import PlanError
from flowjob.runtime.jobmanager.request import StartFrom

if TYPE_CHECKING:
    from flowjob.job import Job

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class CheckpointOptions:
    """`off`: none at all; other None's: as the job says, or by default."""

    location: str | None = None
    interval: timedelta | None = None
    endpoint: str | None = None
    off: bool = False
    start: StartFrom = field(default_factory=StartFrom)

    def of(self, job: Job) -> Checkpoints | Literal[False]:
        """What holds for `job`. Raises PlanError."""
        if self.off:
            return False
        said = {
            "location": self.location,
            "interval": self.interval,
            "endpoint": self.endpoint,
        }
        places = (self.location, self.start.snapshot, job.checkpoints and job.checkpoints.location)
        if self.endpoint is not None and not any(str(p).startswith("s3://") for p in places):
            raise PlanError(
                "--endpoint is that of an S3 server, but neither --checkpoints nor --from is an s3://bucket/prefix"
            )
        given = {name: value for name, value in said.items() if value is not None}
        try:
            return dataclasses.replace(job.checkpoints or Checkpoints(), **given)  # type: ignore[arg-type]
        except PlanError as error:
            raise PlanError(error.message) from None  # no line of the program has said it


def seconds(text: str, hint: str) -> float:
    """Of a duration. Raises a usage error."""
    found = duration(text, hint)
    assert found is not None
    return found.total_seconds()


def duration(text: str | None, hint: str = "--checkpoint-interval") -> timedelta | None:
    """`10`, `10s`, `500ms`, `2m`, `1h`; seconds without a unit. Raises a usage error."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text)
    if match is None or (match[2] or "s") not in _UNITS:
        raise typer.BadParameter(
            f"`{text}` is no duration: write 10s, 500ms, 2m or 1h",
            param_hint=hint,
        )
    return timedelta(seconds=float(match[1]) * _UNITS[match[2] or "s"])
