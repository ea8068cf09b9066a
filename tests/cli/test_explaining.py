"""flowjob explain: the plan as data, and what a start from a snapshot would do with its state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import flowjob as fj
from flowjob.cli.everything import app
from flowjob.cli.explaining import explained_of
from flowjob.errors import SnapshotError
from flowjob.plan import compile_job
from flowjob.plan.restore import Fate, OperatorPlan, RestorePlan


class Row(fj.Schema):
    key: int


PROGRAM = """
import flowjob as fj
class Row(fj.Schema):
    key: int
job = fj.Job("counting")
rows = job.read(fj.collection([Row(key=1)]))
job.write(rows.key_by("key").agg(seen=fj.count()).named("count"), fj.show())
"""


@pytest.fixture
def program(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A script of its own for each test: its module stays loaded."""
    monkeypatch.chdir(tmp_path)
    name = f"explained_{request.node.name}.py"
    (tmp_path / name).write_text(PROGRAM)
    return name


def test_the_plan_is_data_with_exchanges_and_ids_of_state(program: str) -> None:
    ended = CliRunner().invoke(app, ["explain", program, "-p", "2", "--json"])
    plan = json.loads(ended.stdout)
    assert (plan["job"], plan["parallelism"], plan["maxParallelism"]) == ("counting", 2, 128)
    assert "hash(key)" in [edge["exchange"] for edge in plan["edges"]]
    states = [o["state"] for vertex in plan["vertices"] for o in vertex["operators"]]
    assert "count" in states
    assert plan["restore"] is None


def test_latest_without_a_snapshot_is_refused_and_nothing_is_made(
    program: str, tmp_path: Path
) -> None:
    ended = CliRunner().invoke(app, ["explain", program, "--from", "latest"])
    assert isinstance(ended.exception, SnapshotError)
    assert "--checkpoints" in str(ended.exception)
    assert not (tmp_path / ".flowjob").exists()


def other_program(tmp_path: Path) -> str:
    """The place of a snapshot of a job that has another stateful operator."""
    job = fj.Job("counting")
    rows = job.read(fj.collection([Row(key=1)])).key_by("key")
    job.write(rows.agg(seen=fj.count()).named("count"), fj.show())
    job.write(rows.agg(most=fj.max("key")).named("gone"), fj.show())
    place = tmp_path / "snapshot"
    fj.write_snapshot(place, fj.new_snapshot(job))
    return str(place)


def test_a_snapshot_says_which_state_would_move(program: str, tmp_path: Path) -> None:
    place = other_program(tmp_path)
    said = CliRunner().invoke(app, ["explain", program, "--from", place])
    assert said.exit_code == 0, said.exception
    assert "== State ==" in said.stdout
    told = CliRunner().invoke(app, ["explain", program, "--from", place, "--json"])
    fates = {move["state"]: move["fate"] for move in json.loads(told.stdout)["restore"]}
    assert (fates["count"], fates["gone"]) == ("restored", "gone")


def test_what_a_snapshot_holds_is_data(tmp_path: Path) -> None:
    place = other_program(tmp_path)
    for words in (["inspect"], ["savepoint", "inspect"]):
        told = json.loads(CliRunner().invoke(app, [*words, place, "--json"]).stdout)
        assert (told["job"], told["kind"]) == ("counting", "savepoint")
        assert {"count", "gone"} <= {operator["uid"] for operator in told["operators"]}
    verified = json.loads(CliRunner().invoke(app, ["savepoint", "verify", place, "--json"]).stdout)
    assert verified == {"path": place, "whole": True}


def test_what_becomes_of_state_is_data_too() -> None:
    job = fj.Job("j")
    job.write(job.read(fj.collection([{"x": 1}])), fj.show())
    moved = OperatorPlan("uid", "count", Fate.RESTORED, "7 rows of state", ("2 -> 3 subtasks",))
    found = explained_of(compile_job(job), 1, RestorePlan("title", (moved,)))
    assert found.restore is not None
    assert [(m.state, m.fate, m.details) for m in found.restore] == [
        ("uid", "restored", ["2 -> 3 subtasks"])
    ]
