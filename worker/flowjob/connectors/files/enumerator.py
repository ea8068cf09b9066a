"""Finds the files of a source and cuts them into splits: once, or again and again when new files are followed.

When following, a file is taken when its name is new and it has stopped growing: unchanged since the last look, or
not modified for a whole interval. A name is taken once; a file that changes later is not read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowjob.connectors.base import Discovery, Split, SplitEnumerator
from flowjob.connectors.files.listing import Found, find

if TYPE_CHECKING:
    from flowjob.connectors.files.formats import FileFormat
    from flowjob.runtime.env import Env


class FileEnumerator(SplitEnumerator):
    """`interval` is None for a bounded read."""

    def __init__(
        self,
        env: Env,
        patterns: tuple[str, ...],
        format: FileFormat,
        split_bytes: int,
        interval: float | None,
    ) -> None:
        self.interval = interval
        self._env = env
        self._patterns = patterns
        self._format = format
        self._split_bytes = split_bytes
        self._taken: set[str] = set()
        self._growing: dict[str, Found] = {}

    async def discover(self) -> Discovery:
        following = self.interval is not None
        found: list[Found] = await self._env.run_blocking(self._find, following)
        new = [f for f in found if f.path not in self._taken]
        ready = [f for f in new if not following or self._is_finished(f)]
        self._growing = {f.path: f for f in new}
        splits: list[Split] = []
        for file in ready:
            splits += await self._env.run_blocking(self._splits, file)
            self._taken.add(file.path)
        return Discovery(tuple(splits), complete=not following)

    def _find(self, following: bool) -> list[Found]:
        return find(self._patterns, may_be_none=following)

    def _is_finished(self, file: Found) -> bool:
        assert self.interval is not None
        quiet = self._env.clock.wall() - file.changed >= self.interval * 1_000_000
        return quiet or self._growing.get(file.path) == file

    def _splits(self, file: Found) -> list[Split]:
        parts = self._format.parts(file, self._split_bytes)
        if len(parts) == 1:
            return [Split(file.path, parts[0])]
        return [Split(f"{file.path}#{i}", part) for i, part in enumerate(parts)]
