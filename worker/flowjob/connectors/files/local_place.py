"""A directory of this machine as a place for a sink's files: hidden names until they are published by a rename.

A rename is atomic, so readers never see half a file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from flowjob.connectors.files.listing import IN_PROGRESS
from flowjob.connectors.files.staged import Staged, is_left, lost
from flowjob.connectors.leftovers import Leftovers


def hidden_name(name: str) -> str:
    """What a file is called until it is published: readers ignore it."""
    return f".{name}{IN_PROGRESS}"


class LocalPlace:
    """See staged.Place."""

    def __init__(self, directory: str) -> None:
        self._directory = os.path.abspath(directory)

    def prepare(self, prefix: str) -> int:
        Path(self._directory).mkdir(parents=True, exist_ok=True)
        self._remove(lambda name: name.startswith(prefix))
        used = -1
        for name in os.listdir(self._directory):
            if name.startswith(prefix):
                digits = name[len(prefix) :].split(".")[0]
                used = max(used, int(digits)) if digits.isdigit() else used
        return used + 1

    def sweep(self, run: str, leftovers: Leftovers, keep: frozenset[str]) -> None:
        self._remove(lambda name: is_left(name, run, leftovers) and name not in keep)

    def path(self, name: str) -> str:
        return os.path.join(self._directory, hidden_name(name))

    def stage(self, name: str) -> Staged:
        path = self.path(name)
        _sync(path)
        _sync(self._directory)  # a file whose name is not on disk is lost with the machine
        return Staged(place=self._directory, name=name, size=os.path.getsize(path))

    def publish(self, staged: Staged) -> None:
        hidden = os.path.join(staged.place, hidden_name(staged.name))
        visible = os.path.join(staged.place, staged.name)
        with contextlib.suppress(FileNotFoundError):
            size = os.path.getsize(hidden)
            if size != staged.size:
                raise lost(staged, f"has {size:,} bytes now")
            os.replace(hidden, visible)
            _sync(staged.place)
            return
        try:
            size = os.path.getsize(visible)
        except FileNotFoundError:
            raise lost(staged, "is gone") from None
        if size != staged.size:
            raise lost(staged, f"has {size:,} bytes now")

    def discard(self, name: str, staged: Staged | None) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(name))

    def _remove(self, unwanted: Callable[[str], bool]) -> None:
        """Hidden files, by the names that they would have been published by."""
        for hidden in os.listdir(self._directory):
            name = hidden.removeprefix(".").removesuffix(IN_PROGRESS)
            if hidden == hidden_name(name) and unwanted(name):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._directory, hidden))


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
