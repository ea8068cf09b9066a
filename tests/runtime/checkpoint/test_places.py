"""What a person may type to say where a snapshot is."""

from __future__ import annotations

import os

import pytest

from flowjob.errors import SnapshotError
from flowjob.runtime.checkpoint.places import snapshot_place, whole_place

READING = {
    "/data/job/savepoints/a": ("/data/job", "savepoints/a"),
    "/data/job/savepoints/a/": ("/data/job", "savepoints/a"),
    "/data/job/savepoints/a/manifest.json": ("/data/job", "savepoints/a"),
    "/data/job/checkpoints/7/manifest.json": ("/data/job", "checkpoints/7"),
    "/data/job/checkpoints/7/g2/manifest.json": ("/data/job", "checkpoints/7/g2"),
    "/a": ("/", "a"),
    "/a/b": ("/", "a/b"),
    "/data/.flowjob/7": ("/data/.flowjob", "7"),
    "/data/.hidden": ("/data/.hidden", ""),
    "s3://bucket/p/job/savepoints/a": ("s3://bucket/p/job", "savepoints/a"),
    "s3://bucket/a": ("s3://bucket", "a"),
    "s3://bucket": ("s3://bucket", ""),
    "s3://bucket/manifest.json": ("s3://bucket", ""),
    "file:///data/a/b": ("file:///data", "a/b"),
}


@pytest.mark.parametrize("typed", READING)
def test_a_snapshot_is_read_through_a_store_that_holds_its_neighbours(typed: str) -> None:
    assert snapshot_place(typed) == READING[typed]


def test_a_relative_path_is_one_of_the_current_directory() -> None:
    assert whole_place("a/b/") == os.path.abspath("a/b")


@pytest.mark.parametrize("typed", ["", "/", "//", "manifest.json", "s3://", "file:///"])
def test_what_names_no_directory_is_refused(typed: str) -> None:
    with pytest.raises(SnapshotError, match="name its directory"):
        snapshot_place(typed)
