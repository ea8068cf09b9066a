"""The enumerator of sources whose splits are known beforehand: collections, generators, sockets.

Most connectors have nothing to discover; they share this."""

from __future__ import annotations

from dataclasses import dataclass

from flowjob.connectors.base import Discovery, Split, SplitEnumerator


@dataclass
class KnownSplits(SplitEnumerator):
    """Gives all splits at the first call, and that is all there is."""

    splits: tuple[Split, ...]

    async def discover(self) -> Discovery:
        given, self.splits = self.splits, ()
        return Discovery(given, complete=True)
