"""The job file: all that pods must know, nothing that nobody said, no secret; and what the engine makes of it."""

from __future__ import annotations

import dataclasses
import json

import pytest

from flowjob import Checkpoints
from flowjob.cluster import settings as engine
from flowjob.cluster.control_api import ChangeSettings
from flowjob.cluster.job_file import JobFile, Program, Restore, Storage, read_job_file
from flowjob_operator.rendering.job_files import (
    checkpoint_settings,
    data,
    job_file,
    short_job_file,
    with_restore,
)
from flowjob_operator.rendering.naming import JOB_FILE_KEY, digest
from flowjob_operator.resources.flowjob_status import Code
from flowjob_operator.resources.job_spec import RestartStrategy
from tests.operator.rendering.examples import (
    ARTIFACT,
    CODE,
    EVERYTHING,
    JOB,
    SCRIPT,
    SPECS,
    a_revision,
)
from tests.operator.resources.examples import MINIMAL, Spec


def of(spec: Spec, code: Code | None = None, **fields: object) -> JobFile:
    return job_file(JOB, a_revision(spec, code=code, **fields))


@pytest.mark.parametrize("example", SPECS)
def test_the_engine_reads_what_is_written(example: str) -> None:
    file = of(SPECS[example], CODE.get(example))
    assert read_job_file(data(file)[JOB_FILE_KEY].encode()) == file
    assert file.job_id == f"{JOB.namespace}/{JOB.name}/{JOB.uid}"


def test_an_entrypoint_is_in_the_image() -> None:
    assert of(MINIMAL).program == Program(entrypoint="flights:job")


def test_a_script_is_mounted_and_pinned() -> None:
    text = SCRIPT["job"]["script"]
    assert of(SCRIPT).program == Program(script="/etc/flowjob/script/job.py", digest=digest(text))


def test_an_artifact_is_fetched_by_pre_flight_and_then_pinned_to_what_was_kept() -> None:
    program = of(ARTIFACT).program
    assert (program.artifact, program.digest) == ("s3://bucket/code/flights-7.whl", None)
    pinned = of(ARTIFACT, CODE["artifact"]).program
    assert (pinned.artifact, pinned.digest) == (CODE["artifact"].location, "ab" * 32)
    assert pinned.main == "flights.jobs:hourly"


def test_arguments_are_texts() -> None:
    assert of(ARTIFACT).program.args == {"hours": "1", "on": "true"}


def test_what_nobody_has_said_is_left_to_engine_and_program() -> None:
    file = of(MINIMAL)
    assert (file.checkpoints, file.restarts, file.config) == ({}, {}, {})
    assert (file.max_parallelism, file.storage, file.standbys) == (None, None, 0)


def test_all_settings_are_understood_by_the_engine() -> None:
    file = of(EVERYTHING)
    found = engine.checkpoints_of(file.checkpoints, None)
    assert found.spill_bytes == 256 * 2**20
    assert found.unaligned == "auto"
    assert found.retained == 3
    for strategy in RestartStrategy:
        assert engine.restarts_of({"strategy": strategy.value}, None) is not None
    assert engine.restarts_of(file.restarts, None) is not None


def test_live_settings_are_those_of_the_file() -> None:
    revision = a_revision(EVERYTHING)
    settings = checkpoint_settings(revision.spec.checkpoints)
    assert settings == job_file(JOB, revision).checkpoints
    assert ChangeSettings(checkpoints=settings).checkpoints["interval"] == "1m30s"


def test_revision_and_run_are_those_of_the_jobmanager_that_stays() -> None:
    file = of(MINIMAL, number=9, base=7)
    assert (file.revision, file.run) == (7, "7")


def test_a_job_that_began_anew_has_another_place() -> None:
    found = of({**MINIMAL, "checkpoints": {"storage": "s3://bucket/x/"}}, prefix="anew-7").storage
    assert found == Storage(location="s3://bucket/x/anew-7")


def test_one_of_a_pair_of_jobmanagers_stands_by() -> None:
    assert of(EVERYTHING).standbys == 1


def test_where_jobmanagers_are_is_the_name_of_their_service() -> None:
    assert of(MINIMAL).jobmanagers == "flights-jm.air.svc:7400"


def test_short_jobs_have_no_identity_and_talk_to_nobody() -> None:
    restore = Restore(expected="s3://bucket/x")
    file = short_job_file(JOB, a_revision(EVERYTHING), restore)
    assert (file.identity, file.jobmanagers, file.standbys) == (None, "", 0)
    assert file.restore == restore
    assert file.storage == of(EVERYTHING).storage


def test_what_a_job_begins_with_is_put_in_and_nothing_else_touched() -> None:
    written = data(of(EVERYTHING))
    newer = {JOB_FILE_KEY: json.dumps({**json.loads(written[JOB_FILE_KEY]), "invented": 1})}
    found = with_restore(newer, Restore(mode="Snapshot", path="s3://bucket/x"))
    read = json.loads(found[JOB_FILE_KEY])
    assert read.pop("invented") == 1
    assert read.pop("restore")["path"] == "s3://bucket/x"
    kept = json.loads(written[JOB_FILE_KEY])
    del kept["restore"]
    assert read == kept


def test_putting_nothing_in_changes_no_byte() -> None:
    written = data(of(EVERYTHING))
    assert with_restore(written, Restore()) == written


def test_fields_of_checkpoints_are_named_as_the_engine_names_them() -> None:
    names = {f.name for f in dataclasses.fields(Checkpoints)}
    for name in of(EVERYTHING).checkpoints:
        assert "".join(f"_{c.lower()}" if c.isupper() else c for c in name) in names
