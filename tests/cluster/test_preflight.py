"""A pre-flight: what it accepts, what it refuses in which words, and that it changes nothing but for the artifact."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import flowjob as fj
from flowjob.cluster import preflight as module
from flowjob.cluster.job_file import JobFile, Program, Restore, Storage
from flowjob.cluster.places import job_paths, store_of
from flowjob.cluster.planning import Planned, Question, plan, plan_in_child
from flowjob.cluster.preflight import preflight
from flowjob.cluster.preflight_answer import PreflightAnswer, read_preflight
from flowjob.core.snapshot_log import Begin, Commit
from flowjob.entrypoint import Entrypoint, load
from flowjob.errors import FlowjobError
from flowjob.runtime.checkpoint.manifest_io import read_manifest, write_manifest
from flowjob.runtime.real.clock import RealClock, RealRandom
from flowjob.runtime.real.stores import OpenStore, with_stores
from flowjob.runtime.storage.job_log import JobLog, Terms
from flowjob.runtime.storage.local import LocalStore
from tests.cluster.job_files import PROGRAM, a_job_file, sha256
from tests.s3_servers import ACCESS_KEY, BUCKET, SECRET_KEY, versitygw

NAMES = (f"preflight_program_{n}" for n in itertools.count())


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans in this process: children take seconds."""

    def planned(question: Question, within: float) -> Planned:
        try:
            return plan(question)
        except FlowjobError as error:
            return Planned(problem=str(error), error_code=error.code)

    monkeypatch.setattr(module, "plan_in_child", planned)


def a_script(tmp_path: Path, text: str = PROGRAM) -> Path:
    path = tmp_path / f"{next(NAMES)}.py"
    path.write_text(text)
    return path


def of_script(tmp_path: Path, text: str = PROGRAM, **more: Any) -> JobFile:
    program = Program(script=str(a_script(tmp_path, text)), args={"width": "3"})
    return a_job_file(tmp_path / "root", program, **more)


def snapshot_of(tmp_path: Path, at: Path, text: str = PROGRAM) -> Path:
    """A savepoint of the program, without rows."""
    fj.write_snapshot(at, fj.new_snapshot(load(Entrypoint(str(a_script(tmp_path, text))))))
    return at


def on_store(file: JobFile, work: Callable[[OpenStore], Awaitable[Any]]) -> Any:
    return with_stores(work)


def has_run(file: JobFile, savepoint: Path) -> Path:
    """The job's log has a run with one checkpoint, of what the savepoint has; its directory."""
    location, paths = store_of(file), job_paths(file)

    async def work(open_store: OpenStore) -> None:
        store = open_store(location)
        manifest = await read_manifest(
            open_store(location.at(str(savepoint.parent))), savepoint.name
        )
        manifest = msgspec.structs.replace(manifest, kind="checkpoint", id=7)
        digest = await write_manifest(store, paths.checkpoint(7, 1), manifest)
        log = JobLog(store, paths, RealClock(), RealRandom())
        log.terms = Terms(1, 2, 2)
        generation = await log.claim("test")
        await log.append(Begin(generation, "r0-abc", name="r0"))
        await log.append(Commit(generation, 7, "checkpoints/7/g1/manifest.json", digest=digest))

    with_stores(work)
    return Path(location.url) / paths.checkpoint(7, 1)


@pytest.mark.usefixtures("here")
def test_a_good_program_is_accepted_with_all_that_the_operator_wants_to_know(
    tmp_path: Path,
) -> None:
    file = of_script(tmp_path)
    answer = preflight(file, tmp_path / "scratch")
    assert answer.accepted, answer
    assert answer.problems == ()
    assert answer.digest == sha256(PROGRAM.encode())
    assert (answer.parallelism, answer.max_parallelism, answer.slots) == (2, 16, {"default": 2})
    assert len(answer.plan) > 10
    assert answer.restore_from is None
    assert not [p for p in (tmp_path / "root").rglob("*") if p.is_file()]


@pytest.mark.usefixtures("here")
def test_an_artifact_is_kept_and_its_place_told(tmp_path: Path) -> None:
    script = a_script(tmp_path)
    answer = preflight(a_job_file(tmp_path / "root", Program(artifact=str(script))), tmp_path / "s")
    assert answer.accepted, answer
    assert answer.artifact is not None
    assert Path(answer.artifact).read_text() == PROGRAM
    assert answer.digest in answer.artifact


@pytest.mark.usefixtures("here")
def test_the_newest_checkpoint_is_matched(tmp_path: Path) -> None:
    file = of_script(tmp_path)
    checkpoint = has_run(file, snapshot_of(tmp_path, tmp_path / "made"))
    before = _files(tmp_path / "root")
    answer = preflight(file, tmp_path / "scratch")
    assert answer.accepted, answer
    assert answer.restore_from == str(checkpoint)
    assert any("totals" in note for note in answer.notes)
    assert _files(tmp_path / "root") == before


@pytest.mark.usefixtures("here")
def test_state_that_does_not_fit_is_a_problem(tmp_path: Path) -> None:
    made = snapshot_of(tmp_path, tmp_path / "made")
    file = of_script(tmp_path, PROGRAM.replace("max_parallelism=16", "max_parallelism=32"))
    has_run(file, made)
    answer = preflight(file, tmp_path / "scratch")
    assert (answer.accepted, answer.error_code) == (False, "STATE_MISMATCH")
    assert "16" in answer.problems[0]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("restore", "code", "says"),
    [
        (Restore(expected="gone/checkpoints/3"), "STATE_MISSING", "was complete once"),
        (Restore(mode="Snapshot", path="/nowhere/at/all"), "SNAPSHOT", "there is no snapshot in"),
        (Restore(mode="Snapshot"), "SNAPSHOT", "no snapshot was named"),
    ],
)
def test_a_beginning_that_cannot_be_is_refused(
    tmp_path: Path, restore: Restore, code: str, says: str
) -> None:
    answer = preflight(of_script(tmp_path, restore=restore), tmp_path / "scratch")
    assert (answer.accepted, answer.error_code) == (False, code)
    assert says in answer.problems[0]
    assert answer.plan  # the rest is tried all the same


@pytest.mark.usefixtures("here")
def test_a_named_snapshot_is_matched(tmp_path: Path) -> None:
    made = snapshot_of(tmp_path, tmp_path / "made")
    answer = preflight(
        of_script(tmp_path, restore=Restore(mode="Snapshot", path=str(made))), tmp_path / "s"
    )
    assert answer.accepted, answer
    assert answer.restore_from == str(made)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("file", "code", "says"),
    [
        ({"program": Program(script="/nowhere.py")}, "ARTIFACT", "/nowhere.py cannot be read"),
        ({"program": Program(artifact="http://x/a.py")}, "ARTIFACT", "not by http"),
        ({"program": Program(entrypoint="no_such_module_at_all:job")}, "PLAN", "there is no module"),
        ({"checkpoints": {"interval": "soon"}}, "PLAN", "checkpoints.interval"),
        ({"restarts": {"strategy": "Never"}}, "PLAN", "restarts.strategy"),
        ({"config": {"batchRow": 5}}, "PLAN", "config.batchRow: there is no such setting"),
        ({"config": {"artifacts.host": "x"}}, "ARTIFACT", "config artifacts.host: there is no such"),
        ({"max_parallelism": 40_000}, "PLAN", "maxParallelism: 40000"),
        ({"storage": Storage(location="gs://x/y")}, "STORAGE", "no store of the kind `gs`"),
        ({"storage": Storage(location="/proc/no")}, "STORAGE", "/proc/no"),
    ],
)  # fmt: skip
def test_what_a_user_may_get_wrong_is_a_sentence(
    tmp_path: Path, file: dict[str, Any], code: str, says: str
) -> None:
    answer = preflight(msgspec.structs.replace(of_script(tmp_path), **file), tmp_path / "scratch")
    assert not answer.accepted
    assert answer.error_code == code
    assert says in " ".join(answer.problems)


@pytest.mark.usefixtures("here")
def test_a_store_that_does_not_keep_its_promise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def overwrite(store: LocalStore, name: str, data: bytes) -> bool:
        await store.put(name, data)
        return True

    monkeypatch.setattr(LocalStore, "create", overwrite)
    answer = preflight(of_script(tmp_path), tmp_path / "scratch")
    assert (answer.accepted, answer.error_code) == (False, "STORAGE")
    assert "does not refuse to create an object that is there already" in answer.problems[0]


@pytest.mark.usefixtures("here")
def test_a_job_without_storage_is_told_what_that_means(tmp_path: Path) -> None:
    answer = preflight(of_script(tmp_path, storage=None), tmp_path / "scratch")
    assert answer.accepted
    assert "keeps no checkpoints" in answer.notes[0]


@pytest.mark.s3
@pytest.mark.usefixtures("here")
def test_wrong_credentials_are_refused_with_what_to_do_and_right_ones_prove_the_store(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "AWS_ACCESS_KEY_ID").write_text(ACCESS_KEY)
    with versitygw() as server:
        storage = Storage(
            location=f"s3://{BUCKET}/root",
            endpoint=server.endpoint,
            region="us-east-1",
            credentials=str(secret),
        )
        file = of_script(tmp_path, storage=storage)
        for content, says in (
            (None, "there is no AWS_SECRET_ACCESS_KEY in"),
            ("wrong", "SignatureDoesNotMatch, status 403"),
            (SECRET_KEY, None),
        ):
            if content is not None:
                (secret / "AWS_SECRET_ACCESS_KEY").write_text(content)
            answer = preflight(file, tmp_path / f"scratch {content}")
            assert answer.accepted == (says is None), answer
            assert says is None or says in answer.problems[0]
            assert says is None or str(secret) in answer.problems[0]
            assert answer.plan
        program = Program(artifact=str(a_script(tmp_path)))
        kept = preflight(msgspec.structs.replace(file, program=program), tmp_path / "scratch")
        assert kept.artifact is not None
        assert kept.artifact.startswith(f"s3://{BUCKET}/root/shop/flights/0f3c/artifacts/")


def _files(directory: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in directory.rglob("*") if p.is_file()}


# -- in a child


def a_question(tmp_path: Path, text: str) -> Question:
    script = a_script(tmp_path, text)
    return Question(
        file=a_job_file(tmp_path), target=str(script), args={}, sys_path=(str(tmp_path),)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("print('hello')\nimport sys, os\nos.write(1, b'noise')\n" + PROGRAM, None),
        ("import nothing_of_that_name", "nothing_of_that_name"),
        ("import os\nprint('last words', flush=True)\nos._exit(3)", "ended with status 3"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9: perhaps it needs more memory"),
    ],
)  # fmt: skip
def test_the_program_is_imported_in_a_process_that_may_do_what_it_likes(
    tmp_path: Path, text: str, says: str | None
) -> None:
    found = plan_in_child(a_question(tmp_path, text), 60)
    if says is None:
        assert (found.problem, found.max_parallelism) == (None, 16)
    else:
        assert says in (found.problem or "")
        assert found.error_code == "PLAN"
    assert not any(name.startswith("preflight_program") for name in sys.modules if name in text)


@pytest.mark.slow
def test_a_program_that_hangs_at_import_is_given_up(tmp_path: Path) -> None:
    found = plan_in_child(a_question(tmp_path, "import time\ntime.sleep(600)"), 1.0)
    assert "not imported and planned within 1 s" in (found.problem or "")


@pytest.mark.slow
def test_the_command_leaves_its_answer_where_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_bytes(msgspec.json.encode(of_script(tmp_path)))
    command = [
        sys.executable,
        "-m",
        "flowjob",
        "preflight",
        "--job-file",
        str(tmp_path / "job.json"),
    ]
    done = subprocess.run(
        [*command, "--answer", str(tmp_path / "answer")], capture_output=True, check=False
    )
    answer = read_preflight((tmp_path / "answer").read_bytes())
    assert answer is not None, done
    assert answer.accepted
    assert done.returncode == 0
    (tmp_path / "job.json").write_text(json.dumps({"namespace": "x"}))
    done = subprocess.run([*command, "--answer", "-"], capture_output=True, check=False)
    assert done.returncode == 1
    refused = read_preflight(done.stdout)
    assert isinstance(refused, PreflightAnswer)
    assert "not a job file" in refused.problems[0]
