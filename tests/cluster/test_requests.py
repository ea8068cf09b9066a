"""From a job file to what a JobManager runs; whatever is wrong with it is named by its field."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flowjob.cli.cluster_services import own_name, read
from flowjob.cluster.job_file import JobFile, Program, Restore, Storage
from flowjob.cluster.requests import load_program, request_of, run_options
from flowjob.core.beginning import Mode
from flowjob.errors import BadArguments, BadArtifact, BadIdentity, PlanError

PROGRAM = """
import flowjob as fj

class Row(fj.Schema):
    x: int

class Args(fj.Args):
    limit: int

def job(args: Args) -> fj.Job:
    made = fj.Job("{name}")
    rows = made.read(fj.from_rows([Row(args.limit)], Row)).key_by("x").agg(n=fj.count())
    made.write(rows, fj.discard())
    return made
"""


def file_in(directory: Path, **more: Any) -> JobFile:
    script = directory / f"{directory.name.replace('-', '_')}.py"
    script.write_text(PROGRAM.replace("{name}", "counted"))
    digest = hashlib.sha256(script.read_bytes()).hexdigest()
    file = JobFile(
        namespace="data",
        name="counted",
        uid="u-1",
        revision=3,
        run="3",
        program=Program(script=str(script), digest=digest, args={"limit": "5"}),
        parallelism=2,
        max_parallelism=64,
        storage=Storage(location=str(directory / "store"), region="eu-1"),
        checkpoints={"interval": "1m", "retained": 7},
        restore=Restore(mode="Snapshot", path="s3://b/p", since=3, allow_non_restored=True),
    )
    return msgspec.structs.replace(file, **more)


def test_everything_in_the_file_is_in_the_request(tmp_path: Path) -> None:
    loaded = load_program(file_in(tmp_path, config={"exchange.compression": "lz4"}), tmp_path)
    request = request_of(loaded, 4, "10.0.0.9")
    service = request.service
    assert service is not None
    assert service.cluster is not None
    plan = request.job.checkpoints
    assert plan is not None
    assert request.checkpoints is not None
    assert (request.job.parallelism, request.graph.max_parallelism) == (4, 64)
    assert (service.run, service.address, service.misses) == ("3", "10.0.0.9:7400", 1)
    assert (service.cluster.revision, service.cluster.asked) == (3, 2)
    assert service.cluster.wish.mode is Mode.SNAPSHOT
    assert (service.cluster.wish.path, service.cluster.wish.since) == ("s3://b/p", 3)
    assert (plan.root, plan.location.region) == ("data/counted/u-1", "eu-1")
    assert (request.checkpoints.interval, request.checkpoints.retained) == (60.0, 7)
    assert request.start.allow_non_restored
    assert request.job.run == {"exchange": {"compression": "lz4"}}
    assert request.control_file is None


def test_a_job_without_storage_keeps_nothing(tmp_path: Path) -> None:
    request = request_of(load_program(file_in(tmp_path, storage=None), tmp_path), 1, "h")
    assert (request.checkpoints, request.job.checkpoints, request.restarts) == (None, None, None)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"parallelism": 0}, PlanError, "parallelism: 0 is less than 1"),
        ({"max_parallelism": 40_000}, PlanError, "maxParallelism: 40000"),
        ({"name": ""}, PlanError, "name: `` is not a name"),
        ({"checkpoints": {"interval": "soon"}}, PlanError, "checkpoints.interval: `soon`"),
        ({"restarts": {"strategy": "Never"}}, PlanError, "restarts.strategy: `Never`"),
        ({"config": {"speed": "high"}}, PlanError, "config.speed: there is no such setting"),
        ({"identity": "/nowhere"}, BadIdentity, "/nowhere/data.key"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_field(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as found:
        load_program(file_in(tmp_path, **changes), tmp_path)
    assert said in str(found.value)


def test_code_that_is_not_that_of_the_revision_is_not_imported(tmp_path: Path) -> None:
    file = file_in(tmp_path)
    Path(file.program.script or "").write_text("raise SystemExit")
    with pytest.raises(BadArtifact, match="is not the code of this revision"):
        load_program(file, tmp_path)


def test_arguments_are_those_of_the_program(tmp_path: Path) -> None:
    file = file_in(tmp_path)
    wrong = msgspec.structs.replace(file.program, args={"limt": "5"})
    with pytest.raises(BadArguments, match="limt"):
        load_program(msgspec.structs.replace(file, program=wrong), tmp_path)


@pytest.mark.parametrize(
    ("name", "value"), [("batchRows", 0), ("batchRows", "x"), ("exchange.compression", "best")]
)
def test_settings_of_the_engine_that_cannot_be_meant_are_named(name: str, value: str | int) -> None:
    with pytest.raises(PlanError, match=f"config.{name}: `{value}` cannot be meant"):
        run_options({name: value})
    assert run_options({"artifacts.schemes": "s3", "batchRows": "9"}) == {"batch_rows": 9}


def test_a_file_that_cannot_be_read_is_refused_with_the_field(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    with pytest.raises(PlanError, match="No such file"):
        read(str(path))
    path.write_text('{"namespace": "a"}')
    with pytest.raises(PlanError, match="missing required field `name`"):
        read(str(path))
    path.write_bytes(msgspec.json.encode(file_in(tmp_path, protocol=2)))
    with pytest.raises(PlanError, match="protocol 2"):
        read(str(path))


def test_a_taskmanager_is_called_like_its_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAME", "counted-tm-3")
    assert own_name() == "counted-tm-3"
