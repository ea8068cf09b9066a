"""`make corpus VERSION=0.1`: takes a snapshot of every program and keeps it, with what must come of it.

Run it once per version, before the release, and commit what it writes. It refuses to change what is there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

import flowjob as fj
from flowjob.plan.compile import compile_job
from flowjob.plan.state_layout import state_layouts
from flowjob.runtime.checkpoint.manifest_io import decode_manifest, encode_manifest
from tests.corpus.programs import PROGRAMS, Taken, go_on, program, take, undisturbed

CORPUS = Path(__file__).parent


def add(version: str) -> None:
    """Writes `tests/corpus/<version>`."""
    top = CORPUS / version
    if top.exists():
        sys.exit(f"{top} is there already: snapshots of a version never change")
    for name in PROGRAMS:
        taken = finished(name, take(name))
        rest = go_on(name, taken, 2)
        assert rest, f"{name}: nothing is left to do"
        assert rest < undisturbed(name), f"{name}: {rest - undisturbed(name)}"
        directory = top / name
        for object, data in taken.objects.items():
            path = directory / object
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        expected = {"rows": sorted(rest.elements()), "tables": tables(directory)}
        (top / f"{name}.json").write_text(json.dumps(expected, indent=1) + "\n")


def finished(name: str, taken: Taken) -> Taken:
    """With what the JobManager adds to a manifest, and without the rehearsal's sink, which is no part of flowjob."""
    job = fj.Job("rehearsal")
    program(name)(job)
    layouts = [n for n in state_layouts(compile_job(job)) if n.kind != "sink"]
    manifest = decode_manifest(taken.objects["manifest.json"], name)
    tasks = [
        msgspec.structs.replace(task, operators=[o for o in task.operators if o.kind != "sink"])
        for task in manifest.tasks
    ]
    whole = msgspec.structs.replace(manifest, operators=layouts, tasks=tasks)
    return Taken(taken.objects | {"manifest.json": encode_manifest(whole)})


def tables(directory: Path) -> dict[str, dict[str, Any]]:
    """Every table of every operator, by uid and section: columns and rows."""
    found: dict[str, dict[str, Any]] = {}
    for operator in fj.read_snapshot(str(directory)).operators:
        for state in operator.states:
            table = state.to_arrow()
            found.setdefault(operator.uid, {})[state.section] = {
                "columns": [f"{f.name}: {f.type}" for f in table.schema],
                "rows": [repr(row) for row in table.to_pylist()],
            }
    return found


if __name__ == "__main__":
    add(sys.argv[1])
