"""Where the things of a job file are: its store, its part of it, and the artifact in there. Made in one place, because
JobManager, TaskManagers, pre-flight and work on storage must come to the same names.

It reads nothing. What a store is, and names below a job's part, are runtime/storage's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowjob.errors import StorageError
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.storage.paths import JobPaths, Lives, segment

if TYPE_CHECKING:
    from flowjob.cluster.job_file import JobFile, Storage

ARTIFACTS = "artifacts"


def location_of(storage: Storage) -> StoreLocation:
    """The store that jobs share, and how it is reached."""
    return StoreLocation(
        storage.location, storage.endpoint, storage.region, storage.credentials, storage.ca_bundle
    )


def store_of(file: JobFile) -> StoreLocation:
    """Raises StorageError where the job keeps nothing."""
    if file.storage is None:
        raise StorageError(
            "the job has no place for checkpoints, savepoints and artifacts: set checkpoints.storage"
        )
    return location_of(file.storage)


def lives_of(file: JobFile) -> Lives:
    """The job, among others that have had its name."""
    return Lives(file.namespace, file.name, file.uid)


def job_paths(file: JobFile) -> JobPaths:
    """The job's part of that store: `<namespace>/<name>/<uid>`."""
    return lives_of(file).paths


def artifact_name(paths: JobPaths, digest: str, name: str) -> str:
    """Of the object that an artifact is kept in."""
    return paths.full(f"{ARTIFACTS}/{digest}/{segment(name)}")
