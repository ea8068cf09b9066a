"""Job files for tests: of one small job, with whatever a test wants to be otherwise."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from flowjob.cluster.job_file import JobFile, Program, Storage

PROGRAM = """
import flowjob as fj


class Args(fj.Args):
    width: int = 2


class Row(fj.Schema):
    key: str
    value: int


class Total(fj.KeyedProcess[Row, Row]):
    total = fj.value_state(int, default=0)

    def on_row(self, row: Row, ctx: fj.Context) -> None:
        self.total.value += row.value
        ctx.emit(row)


def job(args: Args) -> fj.Job:
    made = fj.Job("flights", max_parallelism=16)
    rows = made.read(fj.from_rows([Row("a", 1)] * args.width, Row)).named("rows")
    made.write(rows.key_by("key").process(Total()).named("totals"), fj.discard())
    return made
"""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def a_job_file(root: Path | str, program: Program | None = None, **more: Any) -> JobFile:
    given = {
        "namespace": "shop",
        "name": "flights",
        "uid": "0f3c",
        "revision": 1,
        "run": "r1",
        "program": program or Program(entrypoint="flights:job"),
        "parallelism": 2,
        "storage": Storage(location=str(root)),
    }
    return JobFile(**{**given, **more})
