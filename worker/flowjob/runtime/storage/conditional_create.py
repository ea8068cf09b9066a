"""Finds out whether a store keeps the one promise that everything else rests on: of many creators of a name, one wins.

Why here: a server that ignores the condition answers as if it had kept it, and two JobManagers would both lead. It must
not know what is stored."""

from __future__ import annotations

from flowjob.runtime.env import Random
from flowjob.runtime.storage.object_store import ObjectStore, StorageError
from flowjob.runtime.storage.paths import JobPaths


async def prove_conditional_create(store: ObjectStore, paths: JobPaths, chance: Random) -> None:
    """Creates an object twice. Raises StorageError when the second time is not refused, or replaces the first.

    A probe that is left behind because the store failed is removed by a later sweep (garbage.py)."""
    name = paths.probe(chance.token())
    made = await store.create(name, b"first")
    again = await store.create(name, b"second")
    kept = await store.get(name)
    await store.delete([name])
    if not made or again or kept != b"first":
        raise StorageError(
            f"{store.url}: this store does not refuse to create an object that is there already, so two JobManagers "
            "could commit at the same time. Keep checkpoints in a store with conditional writes (If-None-Match), or in "
            "a directory; docs/storage.md says which stores have them"
        )
