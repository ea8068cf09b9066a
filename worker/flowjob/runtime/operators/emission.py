"""What callbacks emit, and which event each emitted row came from, until it leaves as batches.

A callback appends to a plain list. Beside it, `marks` holds the list's length before each event: that alone tells the
row or timer of every output, hence its timestamp and whom to blame. It must not know state or operators."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from flowjob.plan.types import StreamType
from flowjob.runtime.batch import Int64s, Rows
from flowjob.runtime.operators.base import Emitted, Side
from flowjob.runtime.operators.failures import WrongResult, first_of_other_type, wrong_type

Blame = Callable[[int, WrongResult], Exception]
"""Makes an error of a complaint about what the event of this index emitted."""


class _Channel:
    """One output: rows not yet given, `settled` of which have been checked and stamped."""

    __slots__ = ("events", "settled", "times", "values", "wanted")

    def __init__(self, type: StreamType) -> None:
        self.values: list[Any] = []
        self.events: list[int] = []
        self.times: list[Int64s] = []
        self.settled = 0
        self.wanted = type.row_class


class Emission:
    """The outputs of one function. For each piece of work: `begin`, callbacks with a mark before each, `settle`; then
    `full` or `rest` give batches."""

    def __init__(
        self,
        name: str,
        output: StreamType,
        sides: Mapping[str, StreamType],
        batch_rows: int,
        *,
        stamped: bool = True,
    ) -> None:
        self._name = name
        self._batch_rows = batch_rows
        self._stamped = stamped
        self._main = _Channel(output)
        self._sides = {tag: _Channel(type) for tag, type in sides.items()}
        self.out = self._main.values
        # Not a list: an array becomes numpy's without a look at each element.
        self.marks = array("q")
        self.times: Int64s | list[int] | None = None
        self.borrowed = False

    @property
    def current(self) -> int:
        """Index of the event whose callback runs."""
        return len(self.marks) - 1

    def begin(self, times: Int64s | list[int] | None, *, borrowed: bool = False) -> None:
        """New events, whose timestamps (µs) are `times`; None on a stream without event time. `borrowed`: they have
        none themselves."""
        self.borrowed = borrowed
        del self.marks[:]
        self.times = times

    def emit_to(self, tag: str, value: Any) -> None:
        side = self._sides.get(tag)
        if side is None:
            known = ", ".join(f"`{t}`" for t in self._sides) or "none"
            raise WrongResult(
                f"{self._name} has no side output `{tag}` (it declares: {known}); "
                f'declare it in the class: `{tag} = fj.side_output("{tag}", type)`'
            )
        side.values.append(value)
        side.events.append(self.current)

    def settle(self, blame: Blame) -> None:
        """Checks and stamps what the events since `begin` have emitted."""
        main = self._main
        if len(main.values) > main.settled:
            self._check(main, "emitted", lambda i: bisect_right(self.marks, i) - 1, blame)
            if self.times is not None and self._stamped:
                main.times.append(self._stamps(self.times))
            main.settled = len(main.values)
        for tag, side in self._sides.items():
            if side.events:
                self._settle_side(tag, side, blame)

    def _stamps(self, times: Int64s | list[int]) -> Int64s:
        """The timestamp of each row of the main output since `begin`."""
        marks: Int64s = np.append(np.array(self.marks, np.int64), len(self.out))
        return np.repeat(np.asarray(times, np.int64)[: len(self.marks)], marks[1:] - marks[:-1])

    def _settle_side(self, tag: str, side: _Channel, blame: Blame) -> None:
        start, events = side.settled, side.events
        self._check(side, f"emitted to `{tag}`", lambda i: events[i - start], blame)
        if self.times is not None and self._stamped:
            side.times.append(np.asarray(self.times, np.int64)[events])
        side.settled = len(side.values)
        side.events = []

    def full(self) -> Emitted:
        """Gives batches when there is enough for one."""
        if len(self._main.values) >= self._batch_rows or any(
            len(s.values) >= self._batch_rows for s in self._sides.values()
        ):
            yield from self.rest()

    def rest(self) -> Emitted:
        """Gives everything."""
        if self._main.values:
            yield from self._batches(self._main)
        for tag, side in self._sides.items():
            if side.values:
                for rows in self._batches(side):
                    yield Side(tag, rows)

    def _check(
        self, channel: _Channel, verb: str, event_of: Callable[[int], int], blame: Blame
    ) -> None:
        if channel.wanted is None:
            return
        fresh = channel.values[channel.settled :]
        bad = first_of_other_type(fresh, channel.wanted)
        if bad is not None:
            complaint = wrong_type(self._name, verb, fresh[bad], channel.wanted)
            raise blame(event_of(bad + channel.settled), complaint)

    def _batches(self, channel: _Channel) -> Iterator[Rows]:
        # A callback may have kept `ctx.emit`, so the list stays the same one for ever.
        values = channel.values[:]
        channel.values.clear()
        channel.settled = 0
        times = np.concatenate(channel.times) if channel.times else None
        channel.times = []
        for start in range(0, len(values), self._batch_rows):
            stop = start + self._batch_rows
            yield Rows(values[start:stop], None if times is None else times[start:stop])
