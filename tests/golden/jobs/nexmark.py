"""Golden jobs of the Nexmark queries: all that there are, each a job of its own.

That they agree with DuckDB is shown in tests/proofs; here a small auction will do."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import flowjob as fj
from bench.nexmark_queries import QUERIES, Auction, Query
from tests.golden.golden import Golden, Row

OPTIONS: dict[str, Any] = {"events": 300, "tps": 4}
MORE: dict[str, dict[str, Any]] = {
    "q2": {"events": 4000, "tps": 40},
    "q8": {"events": 2000, "tps": 40},
}
"""Of queries that find nothing in so small an auction."""


def query(which: Query) -> Golden:
    name = which.__name__
    options = MORE.get(name, OPTIONS)

    def build(directory: Path) -> fj.Job:
        job = fj.Job(name)
        job.write(which(Auction(job, **options)), fj.show("out"))
        return job

    if name == "q12":
        return Golden(name, build, check=every_bid_counted, clocked=True)
    bags = frozenset({"collect out"}) if name == "q5" else frozenset[str]()
    return Golden(name, build, batch={"q2": 100, "q8": 3}.get(name), bags=bags)


def every_bid_counted(outputs: dict[str, list[Row]]) -> None:
    """In windows of the wall clock, which follow each other."""
    config = fj.nexmark.NexmarkConfig(**OPTIONS)
    expected: Counter[int] = Counter()
    for generator in range(config.generators):
        bids = fj.nexmark.generate(
            config, fj.nexmark.Kind.BID, 0, config.events, generator=generator
        )
        expected.update(bids.column("bidder").to_pylist())
    rows = outputs["collect out"]
    found: Counter[int] = Counter()
    for row in rows:
        found[row["bidder"]] += row["bids"]
    assert found == expected
    assert max(Counter((r["bidder"], r["window_start"]) for r in rows).values()) == 1


JOBS = [query(each) for each in QUERIES]
