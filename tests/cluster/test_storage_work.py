"""Work on storage without a live job: verified, imported, disposed of, discarded; again without harm, never more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from flowjob.cli.commands import app
from flowjob.cluster.job_file import JobFile, Program, Storage
from flowjob.cluster.places import job_paths, store_of
from flowjob.cluster.preflight_answer import StorageAnswer, read_storage
from flowjob.cluster.storage_work import discard, dispose, import_snapshot, verify
from flowjob.core.beginning import Known, Refused, Wish, begin
from flowjob.core.snapshot_log import LogState
from flowjob.runtime.jobmanager.hosting import Host
from flowjob.runtime.real.clock import RealClock, RealRandom
from flowjob.runtime.real.env import real_env
from flowjob.runtime.real.stores import OpenStore, with_stores
from flowjob.runtime.storage.job_log import JobLog
from tests.cluster.job_files import a_job_file
from tests.cluster.test_preflight import has_run, snapshot_of
from tests.s3_servers import BUCKET, moto


@pytest.fixture
def file(tmp_path: Path) -> JobFile:
    return a_job_file(tmp_path / "root")


def own_savepoint(file: JobFile, tmp_path: Path, name: str = "mine") -> Path:
    return snapshot_of(tmp_path, tmp_path / "root/shop/flights/0f3c/savepoints" / name)


def log_of(file: JobFile) -> LogState:
    async def work(open_store: OpenStore) -> LogState:
        store = open_store(store_of(file))
        return await JobLog(store, job_paths(file), RealClock(), RealRandom()).read()

    return with_stores(work)


def test_a_whole_snapshot_is_described(file: JobFile, tmp_path: Path) -> None:
    path = snapshot_of(tmp_path, tmp_path / "elsewhere/made")
    answer = verify(file, str(path), tmp_path)
    assert (answer.done, answer.kind, answer.job, answer.path) == (
        True,
        "Savepoint",
        "flights",
        str(path),
    )
    assert answer.checksum.startswith("sha256:")
    assert answer.size == sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    assert answer.taken_at is not None
    assert answer.taken_at.endswith("Z")
    assert import_snapshot(file, f"{path}/", tmp_path) == msgspec.structs.replace(
        answer, path=f"{path}/"
    )


def test_a_checkpoint_is_verified_and_imported_as_one(file: JobFile, tmp_path: Path) -> None:
    checkpoint = has_run(file, snapshot_of(tmp_path, tmp_path / "made"))
    for work in (verify, import_snapshot):
        assert work(file, str(checkpoint), tmp_path).kind == "Checkpoint"


@pytest.mark.parametrize("work", [verify, import_snapshot])
def test_what_is_damaged_or_missing_is_said(
    file: JobFile, tmp_path: Path, work: Callable[[JobFile, str, Path], StorageAnswer]
) -> None:
    nothing = work(file, str(tmp_path / "nothing/here"), tmp_path)
    assert (nothing.done, nothing.error_code) == (False, "SNAPSHOT")
    assert "there is no snapshot in" in (nothing.problem or "")
    path = snapshot_of(tmp_path, tmp_path / "elsewhere/made")
    manifest = path / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"flights", b"fl1ghts"))
    damaged = work(file, str(path), tmp_path)
    assert (damaged.done, damaged.error_code) == (False, "SNAPSHOT_DAMAGED")


def test_a_savepoint_is_disposed_of_once_and_that_it_is_gone_is_said_for_ever(
    file: JobFile, tmp_path: Path
) -> None:
    path = own_savepoint(file, tmp_path)
    other = own_savepoint(file, tmp_path, "other")
    first = dispose(file, str(path), tmp_path)
    assert first.done
    assert first.deleted >= 1
    assert not list(path.rglob("*"))
    assert dispose(file, str(path), tmp_path) == StorageAnswer(done=True, path=str(path))
    assert verify(file, str(other), tmp_path).done


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_without_its_volume_storage_is_not_said_to_be_empty(tmp_path: Path, scheme: str) -> None:
    root = f"{scheme}{tmp_path}/root"
    file = a_job_file(root)
    for path in (f"{root}/shop/flights/0f3c/savepoints/mine", f"{root}/mine"):
        answer = dispose(file, path, tmp_path)
        assert (answer.done, answer.error_code) == (False, "STORAGE")
        assert f"{tmp_path}/root is not there" in (answer.problem or "")
    answer = discard(file, tmp_path)
    assert not answer.done
    assert "is not there" in (answer.problem or "")
    assert not (tmp_path / "root").exists(), "nothing is made there either"


def test_what_is_gone_from_below_a_root_that_is_there_is_gone(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    file = a_job_file(f"file://{tmp_path}/root")
    assert dispose(file, f"file://{tmp_path}/root/shop/flights/0f3c/savepoints/mine", tmp_path).done


def test_a_snapshot_of_no_known_job_is_not_said_to_be_gone_without_its_volume(
    tmp_path: Path,
) -> None:
    path = f"file://{tmp_path}/elsewhere/savepoints/made"
    nobody = a_job_file("", Program(), name="", uid="", run="", storage=Storage(location=path))
    assert not dispose(nobody, path, tmp_path).done
    (tmp_path / "elsewhere").mkdir()
    assert dispose(nobody, path, tmp_path).done


def test_an_unfinished_savepoint_of_a_job_on_a_volume_is_its_own(tmp_path: Path) -> None:
    rest = tmp_path / "root/shop/flights/0f3c/savepoints/mine/rest"
    rest.parent.mkdir(parents=True)
    rest.write_text("x")
    file = a_job_file(f"file://{tmp_path}/root")
    assert dispose(file, f"file://{rest.parent}", tmp_path).deleted == 1
    assert not rest.exists()


def test_a_savepoint_elsewhere_is_disposed_of_if_it_is_one(file: JobFile, tmp_path: Path) -> None:
    path = snapshot_of(tmp_path, tmp_path / "elsewhere/made")
    assert dispose(file, str(path), tmp_path).deleted >= 1
    (tmp_path / "elsewhere/things").mkdir(parents=True)
    (tmp_path / "elsewhere/things/precious.txt").write_text("x")
    answer = dispose(file, str(tmp_path / "elsewhere/things"), tmp_path)
    assert not answer.done
    assert "something else: " in (answer.problem or "")
    assert (tmp_path / "elsewhere/things/precious.txt").exists()


def test_a_checkpoint_is_never_disposed_of_by_its_path(file: JobFile, tmp_path: Path) -> None:
    checkpoint = has_run(file, snapshot_of(tmp_path, tmp_path / "made"))
    for path in (checkpoint, checkpoint / "manifest.json"):
        answer = dispose(file, str(path), tmp_path)
        assert not answer.done
        assert "belongs to its job" in (answer.problem or "")
    assert (checkpoint / "manifest.json").exists()


@pytest.mark.parametrize("where", ["", "shop", "shop/flights/0f3c", "shop/flights/0f3c/savepoints"])
def test_directories_above_snapshots_are_not_disposed_of(
    file: JobFile, tmp_path: Path, where: str
) -> None:
    own_savepoint(file, tmp_path)
    answer = dispose(file, str(tmp_path / "root" / where), tmp_path)
    assert not answer.done
    assert verify(file, str(tmp_path / "root/shop/flights/0f3c/savepoints/mine"), tmp_path).done


@pytest.mark.parametrize("damage", ["unfinished", "damaged"])
def test_what_is_left_of_an_own_savepoint_is_disposed_of(
    file: JobFile, tmp_path: Path, damage: str
) -> None:
    path = own_savepoint(file, tmp_path)
    (path / "uid").mkdir(exist_ok=True)
    (path / "uid" / "rest").write_text("x")
    manifest = path / "manifest.json"
    if damage == "unfinished":
        manifest.unlink()
    else:
        manifest.write_bytes(b"{}")
    assert dispose(file, str(path), tmp_path).done
    assert not [p for p in path.rglob("*") if p.is_file()]


def test_a_directory_with_savepoints_below_it_is_not_disposed_of(
    file: JobFile, tmp_path: Path
) -> None:
    below = own_savepoint(file, tmp_path, "2026/july")
    answer = dispose(file, str(below.parent), tmp_path)
    assert not answer.done
    assert "Name them one by one" in (answer.problem or "")
    assert verify(file, str(below), tmp_path).done


def test_a_damaged_snapshot_of_nobody_knows_whom_stays(file: JobFile, tmp_path: Path) -> None:
    path = snapshot_of(tmp_path, tmp_path / "elsewhere/made")
    (path / "manifest.json").write_bytes(b"{}")
    assert not dispose(file, str(path), tmp_path).done
    assert (path / "manifest.json").exists()


def test_all_checkpoints_are_discarded_after_the_log_has_given_them_up(
    file: JobFile, tmp_path: Path
) -> None:
    savepoint = own_savepoint(file, tmp_path)
    checkpoint = has_run(file, snapshot_of(tmp_path, tmp_path / "made"))
    answer = discard(file, tmp_path)
    assert answer.done
    assert answer.deleted == 1
    assert not checkpoint.exists() or not list(checkpoint.iterdir())
    state = log_of(file)
    assert (state.ended, state.newest, state.retained, state.retired) == (
        "discarded",
        None,
        (),
        (7,),
    )
    assert verify(file, str(savepoint), tmp_path).done
    assert discard(file, tmp_path) == StorageAnswer(done=True)


def test_a_jobmanager_that_is_to_discard_leaves_no_names_of_what_it_deletes(
    file: JobFile, tmp_path: Path
) -> None:
    has_run(file, snapshot_of(tmp_path, tmp_path / "made"))
    plan = SimpleNamespace(location=store_of(file), root=job_paths(file).root)
    planned: Any = SimpleNamespace(job=SimpleNamespace(checkpoints=plan))
    planner: Any = SimpleNamespace(parallelism=1)

    async def work() -> None:
        host = Host(real_env(tmp_path), planner)
        manager: Any = SimpleNamespace(tenure=SimpleNamespace(request=planned))
        host.manager = manager
        await host.discard()

    asyncio.run(work())
    state = log_of(file)
    assert (state.ended, state.newest, state.retained) == ("discarded", None, ())


def test_a_discarded_job_does_not_begin_empty_by_mistake(file: JobFile, tmp_path: Path) -> None:
    has_run(file, snapshot_of(tmp_path, tmp_path / "made"))
    discard(file, tmp_path)
    decision = begin(Wish(), Known(log_of(file)))
    assert isinstance(decision, Refused)


def test_a_job_that_has_never_begun_has_nothing_to_discard(file: JobFile, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    assert discard(file, tmp_path) == StorageAnswer(done=True)
    assert log_of(file) == LogState()


def test_a_file_of_no_job_reaches_what_lies_where_it_says(tmp_path: Path) -> None:
    """As the operator writes it for a snapshot that no FlowJob says how to reach."""
    path = snapshot_of(tmp_path, tmp_path / "elsewhere/made")
    nobody = a_job_file("", Program(), name="", uid="", run="", storage=Storage(location=str(path)))
    assert verify(nobody, str(path), tmp_path).done
    assert dispose(nobody, str(path), tmp_path).deleted >= 1


@pytest.mark.slow
def test_snapshots_in_buckets_are_reached_with_the_files_settings(tmp_path: Path) -> None:
    with moto() as server:
        path = snapshot_of(tmp_path, tmp_path / "made")
        client = server.client()
        for part in path.rglob("*"):
            if part.is_file():
                key = f"root/shop/flights/0f3c/savepoints/s/{part.relative_to(path)}"
                client.put_object(Bucket=BUCKET, Key=key, Body=part.read_bytes())
        url = f"s3://{BUCKET}/root"
        file = a_job_file(
            "", storage=Storage(location=url, endpoint=server.endpoint, region="us-east-1")
        )
        place = f"{url}/shop/flights/0f3c/savepoints/s"
        assert verify(file, place, tmp_path).kind == "Savepoint"
        assert dispose(file, place, tmp_path).done
        assert dispose(file, place, tmp_path).deleted == 0


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_not_said_to_be_empty(tmp_path: Path) -> None:
    with moto() as server:
        url = "s3://no-such-bucket/root"
        storage = Storage(location=url, endpoint=server.endpoint, region="us-east-1")
        file = a_job_file("", storage=storage)
        for answer in (dispose(file, f"{url}/a/b", tmp_path), discard(file, tmp_path)):
            assert not answer.done
            assert "no such bucket" in (answer.problem or "")


def test_the_commands_leave_answers(file: JobFile, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_bytes(msgspec.json.encode(file))
    path = own_savepoint(file, tmp_path)

    def ask(*words: str) -> tuple[int, StorageAnswer | None]:
        end = ["--job-file", str(tmp_path / "job.json"), "--answer", str(tmp_path / "answer")]
        code = CliRunner().invoke(app, ["storage", *words, *end]).exit_code
        return code, read_storage((tmp_path / "answer").read_bytes())

    for words in (["verify", str(path)], ["import", str(path)], ["dispose", str(path)]):
        code, answer = ask(*words)
        assert code == 0
        assert answer is not None
        assert answer.done
    code, answer = ask("verify", str(path))
    assert code == 1
    assert answer is not None
    assert "there is no snapshot" in (answer.problem or "")
    assert ask("dispose")[0] == ask("discard")[0] == 0
