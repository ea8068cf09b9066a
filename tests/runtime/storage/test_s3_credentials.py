"""Credentials in files: what is in them now counts, and what is wrong with them is said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from flowjob.errors import StorageError
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.real.stores import with_stores
from flowjob.runtime.storage import s3_errors
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.storage.s3_calls import S3Settings, connect
from flowjob.runtime.storage.s3_credentials import FileCredentials
from tests.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server

T = TypeVar("T")


def put(directory: Path, **values: str) -> Path:
    directory.mkdir(exist_ok=True)
    for name, value in values.items():
        new = directory / f".{name}"
        new.write_text(value)
        new.replace(directory / name)
    return directory


def test_files_that_change_are_read_again(tmp_path: Path) -> None:
    directory = put(tmp_path / "s", AWS_ACCESS_KEY_ID="a\n", AWS_SECRET_ACCESS_KEY="b")
    credentials = FileCredentials(directory)
    assert credentials.get_frozen_credentials() == ("a", "b", None, None)
    put(directory, AWS_ACCESS_KEY_ID="c", AWS_SESSION_TOKEN="t")
    assert credentials.get_frozen_credentials() == ("c", "b", "t", None)
    (directory / "AWS_SESSION_TOKEN").unlink()
    assert (credentials.access_key, credentials.secret_key, credentials.token) == ("c", "b", None)


def test_files_that_are_replaced_while_they_are_read_are_read_again(tmp_path: Path) -> None:
    """Never the id of one pair with the secret of another."""
    directory = put(tmp_path / "s", AWS_ACCESS_KEY_ID="old", AWS_SECRET_ACCESS_KEY="old")

    class Renewed(FileCredentials):
        renewed = False

        def _read(self, name: str) -> str | None:
            found = super()._read(name)
            if not self.renewed:
                self.renewed = True
                put(directory, AWS_ACCESS_KEY_ID="new", AWS_SECRET_ACCESS_KEY="new")
            return found

    assert Renewed(directory).get_frozen_credentials()[:2] == ("new", "new")


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({}, "AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "a"}, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": " \n", "AWS_SECRET_ACCESS_KEY": "b"}, "AWS_ACCESS_KEY_ID"),
    ],
)
def test_what_is_missing_is_named_with_its_place(
    tmp_path: Path, values: dict[str, str], missing: str
) -> None:
    directory = put(tmp_path / "s", **values)
    with pytest.raises(StorageError, match=f"there is no {missing} in {directory}"):
        FileCredentials(directory).get_frozen_credentials()


def on_store(location: StoreLocation, work: Callable[[ObjectStore], Awaitable[T]]) -> T:
    return with_stores(lambda open_store: work(open_store(location)))


def test_a_store_signs_with_the_files_and_not_with_the_environment(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = put(tmp_path / "s", AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of nobody")
    location = replace(s3_server.location(tmp_path.name), credentials=str(directory))

    async def work(store: ObjectStore) -> bytes:
        await store.put("a/b", b"content")
        return await store.get("a/b")

    assert on_store(location, work) == b"content"
    client = connect(location, S3Settings())
    signed = client._request_signer._credentials.get_frozen_credentials()
    assert (signed.access_key, signed.secret_key) == (ACCESS_KEY, SECRET_KEY)
    client.close()


@pytest.mark.s3
def test_a_secret_that_is_corrected_is_taken_by_the_next_request(tmp_path: Path) -> None:
    from tests.s3_servers import versitygw

    with versitygw() as server:
        directory = put(tmp_path / "s", AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY="wrong")
        location = replace(server.location("x"), credentials=str(directory))

        async def work(store: ObjectStore) -> bytes:
            with pytest.raises(StorageError) as refused:
                await store.put("a", b"1")
            said = str(refused.value)
            assert "SignatureDoesNotMatch, status 403" in said
            assert f"They are those in {directory}" in said
            put(directory, AWS_SECRET_ACCESS_KEY=SECRET_KEY)
            await store.put("a", b"1")
            return await store.get("a")

        assert on_store(location, work) == b"1"


class _Refused(Exception):
    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.response: dict[str, Any] = {
            "Error": {"Code": code, "Message": "No."},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("AccessDenied", 403, "these credentials may not do this"),
        ("SignatureDoesNotMatch", 403, "the secret key does not fit the access key"),
        ("InvalidAccessKeyId", 403, "the access key is unknown there"),
        ("ExpiredToken", 400, "the credentials have expired"),
        ("403", 403, "these credentials may not do this"),
    ],
)
def test_who_may_not_is_told_what_to_do_and_where_the_credentials_are_from(
    code: str, status: int, says: str
) -> None:
    said = str(s3_errors.told(_Refused(code, status), "write", "s3://b/k", "/etc/flowjob/storage"))
    assert "cannot write s3://b/k: No" in said
    assert says in said
    assert "those in /etc/flowjob/storage, which the Secret fills" in said
    without = str(s3_errors.told(_Refused(code, status), "write", "s3://b/k"))
    assert says in without
    assert "Secret" not in without.replace("SECRET", "")


def test_a_ca_bundle_that_is_not_there_is_named(tmp_path: Path) -> None:
    location = StoreLocation(
        "s3://b/p", "https://127.0.0.1:1", "us-east-1", None, str(tmp_path / "ca")
    )
    with pytest.raises(StorageError, match=r"/ca: there are no certificates .*caBundleRef"):
        on_store(location, lambda store: store.get("a"))


def test_another_place_is_asked_with_the_same_credentials() -> None:
    own = StoreLocation("s3://b/p", "http://here", "r", "/creds", "/ca")
    assert own.at("s3://c/q") == StoreLocation("s3://c/q", "http://here", "r", "/creds", "/ca")
    assert own.at("s3://c/q", "http://there", "s").endpoint == "http://there"
