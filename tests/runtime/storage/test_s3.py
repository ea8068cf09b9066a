# ruff: noqa: N803 - boto3 names its arguments so
"""S3 in bad weather, played by a client that does as it is told; and what real servers say when something is wrong."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from flowjob.errors import ObjectMissing, StorageError
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.real.env import real_env
from flowjob.runtime.storage import s3
from flowjob.runtime.storage.conditional_create import prove_conditional_create
from flowjob.runtime.storage.paths import JobPaths
from flowjob.runtime.storage.s3 import S3Store
from flowjob.runtime.storage.s3_calls import S3Settings, connect, is_amazon
from flowjob.runtime.storage.s3_upload import WRITER
from flowjob.testing import MockClock, run_virtually
from flowjob.testing.virtual_time import run_inline
from tests.runtime.storage.fakes import SeededRandom
from tests.s3_servers import BUCKET, SECRET_KEY, S3Server

SETTINGS = S3Settings(tries=4, multipart_from=100, part_bytes=40)


def says(code: str, status: int, message: str = "so it is") -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "PutObject")


TIMEOUT = ReadTimeoutError(endpoint_url="http://s3.example")
SLOW_DOWN = says("SlowDown", 503)


class Scripted:
    """Keeps objects as S3 does. Each call takes what comes next in `plan`: None, an exception to raise instead of
    doing it, or an exception in a list, to raise after it is done."""

    def __init__(self, *plan: Exception | list[Exception] | None) -> None:
        self.plan = list(plan)
        self.calls: list[str] = []
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.uploads: dict[str, tuple[str, dict[str, str], dict[int, bytes]]] = {}

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self.calls.append(operation)
            step = self.plan.pop(0) if self.plan else None
            if isinstance(step, Exception):
                raise step
            answer = getattr(self, f"_{operation}")(**arguments)
            if step:
                raise step[0]
            return answer

        return call

    def close(self) -> None:
        pass

    def _put_object(
        self, Key: str, Body: bytes, Metadata: Any, IfNoneMatch: str = "", **_: Any
    ) -> None:
        if IfNoneMatch and Key in self.objects:
            raise says("PreconditionFailed", 412)
        self.objects[Key] = (Body, Metadata)

    def _get_object(self, Key: str, **_: Any) -> Any:
        if Key not in self.objects:
            raise says("NoSuchKey", 404)
        return {"Body": io.BytesIO(self.objects[Key][0])}

    def _head_object(self, Key: str, **_: Any) -> Any:
        if Key not in self.objects:
            raise says("404", 404)
        return {"Metadata": {k.title(): v for k, v in self.objects[Key][1].items()}}

    def _create_multipart_upload(self, Key: str, Metadata: Any, **_: Any) -> Any:
        id = f"upload{len(self.uploads)}"
        self.uploads[id] = (Key, Metadata, {})
        return {"UploadId": id}

    def _upload_part(self, UploadId: str, PartNumber: int, Body: bytes, **_: Any) -> Any:
        self.uploads[UploadId][2][PartNumber] = Body
        return {"ETag": str(PartNumber)}

    def _complete_multipart_upload(self, UploadId: str, MultipartUpload: Any, **_: Any) -> None:
        if UploadId not in self.uploads:
            raise says("NoSuchUpload", 404)
        key, metadata, parts = self.uploads.pop(UploadId)
        sent = [p["PartNumber"] for p in MultipartUpload["Parts"]]
        self.objects[key] = (b"".join(parts[n] for n in sent), metadata)

    def _abort_multipart_upload(self, UploadId: str, **_: Any) -> None:
        del self.uploads[UploadId]

    def _delete_objects(self, Delete: Any, **_: Any) -> Any:
        for item in Delete["Objects"]:
            self.objects.pop(item["Key"], None)
        return {}

    def _delete_object(self, Key: str, **_: Any) -> None:
        self.objects.pop(Key, None)


def store_of(client: Scripted, settings: S3Settings = SETTINGS) -> S3Store:
    return S3Store(
        StoreLocation("s3://b/p/"),
        MockClock(),
        SeededRandom(),
        run_inline,
        settings=settings,
        connect=lambda location, settings: client,
    )


# -- trying again


@pytest.mark.parametrize(
    "error",
    [
        SLOW_DOWN,
        TIMEOUT,
        says("InternalError", 500),
        says("503", 503),
        says("RequestTimeout", 400),
        says("ConditionalRequestConflict", 409),
        says("ExistingObjectIsDirectory", 409),
        EndpointConnectionError(endpoint_url="http://s3.example"),
    ],
    ids=str,
)
def test_errors_that_pass_are_tried_again_after_growing_pauses(error: Exception) -> None:
    async def scenario() -> float:
        client = Scripted(error, error, error)
        await store_of(client).put("x", b"data")
        assert client.objects["p/x"][0] == b"data"
        assert len(client.calls) == 4
        return asyncio.get_running_loop().time()

    took = run_virtually(scenario())
    assert (0.2 + 0.4 + 0.8) / 2 <= took <= 0.2 + 0.4 + 0.8


def test_after_the_last_try_the_error_is_told_with_bucket_key_and_operation() -> None:
    async def scenario() -> None:
        client = Scripted(*[SLOW_DOWN] * 9)
        with pytest.raises(StorageError, match=r"cannot write s3://b/p/x: so it is \(SlowDown"):
            await store_of(client).put("x", b"data")
        assert len(client.calls) == SETTINGS.tries

    run_virtually(scenario())


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (says("AccessDenied", 403), "permissions"),
        (says("403", 403), "permissions"),
        (says("NoSuchBucket", 404), "create it"),
        (says("PermanentRedirect", 301), "AWS_REGION"),
        (says("SignatureDoesNotMatch", 403), "AWS_SECRET_ACCESS_KEY"),
        (says("ExpiredToken", 400), "renew"),
        (says("NotImplemented", 501), "which servers"),
        (says("ObjectParentIsFile", 409), "prefix of its own"),
        (NoCredentialsError(), "AWS_ACCESS_KEY_ID"),
    ],
    ids=str,
)
def test_errors_that_last_are_told_at_once_with_what_to_do(error: Exception, advice: str) -> None:
    async def scenario() -> None:
        client = Scripted(error)
        with pytest.raises(StorageError, match=f"s3://b/p/x.*{advice}"):
            await store_of(client).create("x", b"data")
        assert len(client.calls) == 1

    run_virtually(scenario())


def test_a_defect_of_ours_is_not_taken_for_weather() -> None:
    async def scenario() -> None:
        client = Scripted(TypeError("wrong argument"))
        with pytest.raises(TypeError):
            await store_of(client).put("x", b"data")
        assert len(client.calls) == 1

    run_virtually(scenario())


# -- creating


def test_a_creation_whose_answer_was_lost_is_known_as_ours() -> None:
    async def scenario() -> None:
        client = Scripted([TIMEOUT])
        assert await store_of(client).create("x", b"data") is True
        assert client.calls == ["put_object", "put_object", "head_object"]

    run_virtually(scenario())


def test_a_creation_that_another_won_while_ours_was_lost_is_not() -> None:
    async def scenario() -> None:
        client = Scripted(TIMEOUT)
        client.objects["p/x"] = (b"data", {WRITER: "somebody else"})
        assert await store_of(client).create("x", b"data") is False

    run_virtually(scenario())


def test_a_server_that_ignores_the_condition_is_found_out() -> None:
    class Ignoring(Scripted):
        def _put_object(self, IfNoneMatch: str = "", **rest: Any) -> None:
            super()._put_object(**rest)

    async def scenario() -> None:
        with pytest.raises(StorageError, match="does not refuse to create"):
            await prove_conditional_create(store_of(Ignoring()), JobPaths.of("j"), SeededRandom())
        client = Scripted()
        await prove_conditional_create(store_of(client), JobPaths.of("j"), SeededRandom())
        assert client.objects == {}

    run_virtually(scenario())


# -- large objects


CONTENT = bytes(range(250))


def test_a_large_object_goes_in_parts_each_tried_again_by_itself() -> None:
    async def scenario() -> None:
        client = Scripted(None, SLOW_DOWN, None, [TIMEOUT])
        await store_of(client).put("x", CONTENT)
        assert client.objects["p/x"][0] == CONTENT
        assert client.uploads == {}
        assert client.calls.count("upload_part") == 7 + 2

    run_virtually(scenario())


def test_an_upload_that_fails_is_aborted_and_leaves_nothing() -> None:
    async def scenario() -> None:
        client = Scripted(None, None, says("AccessDenied", 403))
        with pytest.raises(StorageError, match=r"cannot write s3://b/p/x.*permissions"):
            await store_of(client).put("x", CONTENT)
        assert client.calls[-1] == "abort_multipart_upload"
        assert (client.objects, client.uploads) == ({}, {})

    run_virtually(scenario())


def test_an_upload_that_is_cancelled_is_aborted() -> None:
    async def scenario() -> None:
        client = Scripted(None, *[SLOW_DOWN] * 100)
        settings = S3Settings(tries=100, multipart_from=100, part_bytes=40)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store_of(client, settings).put("x", CONTENT), 3)
        client.plan.clear()
        await asyncio.sleep(20)
        assert (client.objects, client.uploads) == ({}, {})

    run_virtually(scenario())


def test_a_completion_whose_answer_was_lost_is_known_as_done() -> None:
    async def scenario() -> None:
        client = Scripted(*[None] * 8, [TIMEOUT])
        await store_of(client).put("x", CONTENT)
        assert client.calls[-3:] == ["complete_multipart_upload"] * 2 + ["head_object"]
        assert client.objects["p/x"][0] == CONTENT

    run_virtually(scenario())


def test_an_upload_that_vanished_is_no_success() -> None:
    async def scenario() -> None:
        client = Scripted(*[None] * 8, says("NoSuchUpload", 404))
        client.objects["p/x"] = (b"older", {WRITER: "an earlier write"})
        with pytest.raises(StorageError, match="NoSuchUpload"):
            await store_of(client).put("x", CONTENT)

    run_virtually(scenario())


def test_a_file_that_shrinks_while_it_is_stored_is_told(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    path.write_bytes(CONTENT)

    class Shrinking(Scripted):
        def _create_multipart_upload(self, **rest: Any) -> Any:
            path.write_bytes(CONTENT[:50])
            return super()._create_multipart_upload(**rest)

    async def scenario() -> None:
        client = Shrinking()
        with pytest.raises(StorageError, match="spool has become shorter"):
            await store_of(client).put("x", path)
        assert (client.objects, client.uploads) == ({}, {})

    run_virtually(scenario())


# -- deleting


def test_what_cannot_be_deleted_with_others_is_deleted_alone_or_told() -> None:
    class Reluctant(Scripted):
        def _delete_objects(self, Delete: Any, **rest: Any) -> Any:
            keys = [item["Key"] for item in Delete["Objects"]]
            super()._delete_objects({"Objects": [{"Key": k} for k in keys if "stay" not in k]})
            failed = [{"Key": k, "Code": "InternalError"} for k in keys if "stay" in k]
            return {"Errors": [*failed, {"Key": "p/gone", "Code": "NoSuchKey"}]}

    async def scenario() -> None:
        client = Reluctant()
        client.objects = {f"p/{n}": (b"", {}) for n in ("a", "stay", "b")}
        await store_of(client).delete(["a", "stay", "b", "gone"])
        assert client.objects == {}
        client = Reluctant(None, says("AccessDenied", 403))
        client.objects = {"p/stay": (b"", {})}
        with pytest.raises(StorageError, match="cannot delete s3://b/p/stay"):
            await store_of(client).delete(["stay"])

    run_virtually(scenario())


# -- where it connects to


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://s3.eu-west-1.amazonaws.com", True),
        ("https://bucket.s3.cn-north-1.amazonaws.com.cn", True),
        ("http://127.0.0.1:9000", False),
        ("https://s3.amazonaws.com.evil.example", False),
    ],
)
def test_only_amazon_is_asked_by_host_names_of_buckets(endpoint: str, expected: bool) -> None:
    assert is_amazon(endpoint) is expected


def test_an_endpoint_of_the_environment_is_asked_by_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9999")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    client = connect(StoreLocation("s3://bucket/p"), S3Settings())
    url = client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"})
    client.close()
    assert url.startswith("http://127.0.0.1:9999/bucket/k?")


def test_importing_the_store_does_not_import_its_client_library() -> None:
    """Starting is what people wait for; boto3 takes longer than all the rest."""
    import subprocess
    import sys

    code = (
        "import sys, flowjob.runtime.real.env, flowjob.runtime.storage.s3; "
        "sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- servers


def real(server: S3Server, tmp_path: Path, prefix: str, **settings: Any) -> S3Store:
    env = real_env(tmp_path)
    return S3Store(
        server.location(prefix),
        env.clock,
        env.random,
        env.run_blocking,
        settings=S3Settings(**settings),
    )


def test_large_files_go_up_in_parts_and_what_dead_writers_left_is_swept(
    s3_server: S3Server, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(CONTENT * 60_000)  # 15 MB

    async def scenario() -> None:
        store = real(s3_server, tmp_path, "parts", multipart_from=1 << 20, part_bytes=6 << 20)
        await store.put("job/x", path)
        assert await store.get("job/x") == path.read_bytes()
        client = s3_server.client()
        for key in ("parts/job/dead", "parts/other/alive"):
            client.create_multipart_upload(Bucket=BUCKET, Key=key)
        await store.sweep("job/", 0)
        assert len(client.list_multipart_uploads(Bucket=BUCKET)["Uploads"]) == 2
        await store.sweep("job/", 1 << 62)
        left = client.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
        assert [u["Key"] for u in left] == ["parts/other/alive"]
        await store.sweep("", 1 << 62)
        assert "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET)
        client.close()
        await store.close()

    asyncio.run(scenario())


def test_long_listings_and_deletions_go_page_by_page(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "LISTED_AT_ONCE", 7)
    monkeypatch.setattr(s3, "DELETED_AT_ONCE", 6)

    async def scenario() -> None:
        store = real(s3_server, tmp_path, "pages")
        names = [f"many/{n:02d}" for n in range(30)]
        await asyncio.gather(*(store.put(n, b"") for n in names))
        assert [found.name async for found in store.scan("many/")] == names
        await store.delete(names[1:])
        assert [found.name async for found in store.scan("many/")] == names[:1]
        await store.close()

    asyncio.run(scenario())


def test_a_bucket_that_is_not_there_is_told(s3_server: S3Server, tmp_path: Path) -> None:
    async def scenario() -> None:
        env = real_env(tmp_path)
        location = StoreLocation("s3://no-such-bucket-here/p", s3_server.endpoint, "us-east-1")
        store = S3Store(location, env.clock, env.random, env.run_blocking)
        with pytest.raises(
            StorageError, match=r"s3://no-such-bucket-here/p/x: .*NoSuchBucket.*create it"
        ):
            await store.create("x", b"")
        await store.close()

    asyncio.run(scenario())


def test_nobody_at_the_endpoint_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        env = real_env(tmp_path)
        location = StoreLocation("s3://bucket/p", "http://127.0.0.1:9", "us-east-1")
        store = S3Store(
            location,
            env.clock,
            env.random,
            env.run_blocking,
            settings=S3Settings(tries=2, first_pause=0.01),
        )
        with pytest.raises(
            StorageError, match=r"s3://bucket/p/x.*127\.0\.0\.1:9.*check the endpoint"
        ):
            await store.put("x", b"")
        await store.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "a")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "s")
        asyncio.run(scenario())


@pytest.mark.s3
@pytest.mark.parametrize("s3_server", ["versitygw"], indirect=True)
def test_wrong_credentials_are_told_without_showing_them(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")

    async def scenario() -> None:
        store = real(s3_server, tmp_path, "p")
        with pytest.raises(StorageError, match="AWS_SECRET_ACCESS_KEY") as told:
            await store.put("x", b"")
        assert "not-the-secret" not in str(told.value)
        assert SECRET_KEY not in str(told.value)
        with pytest.raises(StorageError, match="cannot look at"):
            await store.head("x")
        await store.close()

    asyncio.run(scenario())


def test_reading_what_is_not_there_says_where(s3_server: S3Server, tmp_path: Path) -> None:
    async def scenario() -> None:
        store = real(s3_server, tmp_path, "p")
        with pytest.raises(ObjectMissing, match=f"s3://{BUCKET}/p/a/b: there is no such object"):
            await store.get("a/b")
        await store.close()

    asyncio.run(scenario())
