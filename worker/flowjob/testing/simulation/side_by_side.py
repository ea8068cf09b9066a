"""Plays many seeds, in one process or in several side by side.

For the commands of all simulations. It must not know what a seed decides, nor what is said of it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_CHUNK = 5
"""Seeds that a process takes at once."""


@contextmanager
def played(play: Callable[[int], T], seeds: Iterable[int], processes: int) -> Iterator[Iterator[T]]:
    """What `play` says of each seed: in order, or, in several processes, as they are done. It has to be picklable, as
    has what it says."""
    if processes == 1:
        yield map(play, seeds)
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield pool.imap_unordered(play, seeds, chunksize=_CHUNK)
