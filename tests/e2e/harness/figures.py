"""Times that scenarios take, as JSON lines: for the documentation, never for a judgement.

`FLOWJOB_E2E_FIGURES=file` has them written. Gaps in output are read off the stored results, behind everything."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from itertools import pairwise

from tests.e2e.harness import verified
from tests.e2e.harness.storage import Bucket


def record(what: str, seconds: float) -> None:
    if path := os.environ.get("FLOWJOB_E2E_FIGURES"):
        with open(path, "a") as file:
            file.write(json.dumps({"what": what, "seconds": round(seconds, 1)}) + "\n")


def longest_gap(bucket: Bucket, since: datetime | None = None) -> float:
    """Seconds without a published result, to the precision of the store's times: a second. Includes the interval of
    checkpoints, with which results are published."""
    listed = bucket.storage.client().get_paginator("list_objects_v2")
    pages = listed.paginate(Bucket=bucket.name, Prefix=f"{verified.RESULTS}/rows/")
    times = sorted(o["LastModified"] for page in pages for o in page.get("Contents", []))
    if since is not None:
        # The gap may have begun a little earlier.
        times = [time for time in times if time >= since - timedelta(seconds=5)]
    return max(((b - a).total_seconds() for a, b in pairwise(times)), default=0.0)
