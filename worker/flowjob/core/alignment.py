"""When a task with several inputs takes its part of a snapshot: the rules for barriers, as pure machines.

Facts in (a barrier, an end, an order of the JobManager, a timeout), steps out; three kinds share one interface and
differ in what they do while some channels have brought a barrier and others have not. The task carries the steps out
in order (runtime/participant.py). It must not know gates, chains or stores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from flowjob.core.elements import Barrier


@dataclass(frozen=True, slots=True)
class Block:
    """Take nothing more from `channel` until it is unblocked."""

    channel: int


@dataclass(frozen=True, slots=True)
class Unblock:
    channels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Send the barrier on and take this task's part now. What the channels in `capture` have brought and not given yet,
    and still bring before their barrier, belongs to it."""

    barrier: Barrier
    capture: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Decline:
    """The task cannot take part in this one any more."""

    checkpoint: int
    reason: str


Step = Block | Unblock | Snapshot | Decline
Steps = tuple[Step, ...]


class BarrierHandler(Protocol):
    """Of each checkpoint there is at most one Snapshot or Decline, never both. An ended channel counts as one that has
    brought every barrier. Checkpoint numbers ascend; a channel brings them in order, but may skip some."""

    def on_barrier(self, channel: int, barrier: Barrier) -> Steps: ...

    def on_end(self, channel: int) -> Steps:
        """Nothing follows on `channel`."""
        ...

    def on_trigger(self, barrier: Barrier) -> Steps:
        """The JobManager asks a task whose inputs have all ended, or that has none. While some are open nothing
        happens: they will bring the barrier."""
        ...

    def on_abort(self, checkpoint: int) -> Steps:
        """Nobody wants this one any more, whether or not it was heard of here."""
        ...

    def on_timeout(self, barrier: Barrier) -> Steps:
        """Its barriers have been waited for long enough, or one has come that has overtaken data: whether or not any
        of them has been seen here in its place."""
        ...


class _Settled:
    """Which checkpoints are over, and which channels."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._ended: set[int] = set()
        self._last = (
            0  # the newest one that was taken, declined or overtaken: older ones are over too
        )
        self._aborted: set[int] = set()  # ones newer than that

    def _is_over(self, checkpoint: int) -> bool:
        return checkpoint <= self._last or checkpoint in self._aborted

    def _settle(self, checkpoint: int) -> None:
        self._last = max(self._last, checkpoint)
        self._aborted = {a for a in self._aborted if a > self._last}

    def _complete(self, arrived: set[int]) -> bool:
        return len(arrived | self._ended) == self._channels

    def on_trigger(self, barrier: Barrier) -> Steps:
        if len(self._ended) < self._channels or self._is_over(barrier.checkpoint):
            return ()
        self._settle(barrier.checkpoint)
        return (Snapshot(barrier),)

    def on_timeout(self, barrier: Barrier) -> Steps:
        return ()


class Aligned(_Settled):
    """Exactly once: a channel that has brought the barrier waits until all have.

    One checkpoint at a time: a newer barrier on any channel means that this channel will never bring the older one,
    which is then declined."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self._current: Barrier | None = None
        self._arrived: set[int] = set()

    def on_barrier(self, channel: int, barrier: Barrier) -> Steps:
        current = self._current
        if channel in self._ended or (current and barrier.checkpoint < current.checkpoint):
            return ()
        if current and barrier.checkpoint == current.checkpoint:
            return () if channel in self._arrived else self._arrive(channel)
        steps: Steps = ()
        if current:
            steps = (_superseded(current, barrier), *self._give_up())
        if self._is_over(barrier.checkpoint):
            return steps
        self._current = barrier
        return steps + self._arrive(channel)

    def on_end(self, channel: int) -> Steps:
        self._ended.add(channel)
        return self._judge()

    def on_abort(self, checkpoint: int) -> Steps:
        if self._current and self._current.checkpoint == checkpoint:
            return self._give_up()
        if checkpoint > self._last:
            self._aborted.add(checkpoint)
        return ()

    def _arrive(self, channel: int) -> Steps:
        self._arrived.add(channel)
        return self._judge() or (Block(channel),)

    def _judge(self) -> Steps:
        """The snapshot, if nothing is missing. The last channel was not blocked yet: unblocking it does no harm."""
        if self._current is None or not self._complete(self._arrived):
            return ()
        taken = Snapshot(self._current)
        return (taken, *self._give_up())

    def _give_up(self) -> Steps:
        """The current checkpoint is over, one way or the other."""
        assert self._current is not None
        blocked = tuple(sorted(self._arrived))
        self._settle(self._current.checkpoint)
        self._current = None
        self._arrived = set()
        return (Unblock(blocked),)


class Overtaking(Aligned):
    """Exactly once without long waits: aligned at first; once waiting has taken too long, the snapshot is taken with
    what the missing channels have in front of their barriers.

    Channels `in_place` are waited for in any case: nobody could say who gets their rows at another parallelism."""

    def __init__(self, channels: int, in_place: frozenset[int] = frozenset()) -> None:
        super().__init__(channels)
        self._in_place = in_place
        self._hurried = 0  # up to this checkpoint nobody waits any more

    def on_timeout(self, barrier: Barrier) -> Steps:
        if self._is_over(barrier.checkpoint):
            return ()
        self._hurried = max(self._hurried, barrier.checkpoint)
        if self._current is None:
            self._current = barrier
        return self._judge()

    def _judge(self) -> Steps:
        current = self._current
        if current is None or current.checkpoint > self._hurried:
            return super()._judge()
        missing = set(range(self._channels)) - self._arrived - self._ended
        if missing & self._in_place:
            return ()
        taken = Snapshot(replace(current, unaligned=True), tuple(sorted(missing)))
        return (taken, *self._give_up())


class AtLeastOnce(_Settled):
    """Never blocks: rows behind a barrier may be in the snapshot as well, and are then seen again after a restore.

    Several checkpoints may be under way, each counted by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self._pending: dict[int, tuple[Barrier, set[int]]] = {}

    def on_barrier(self, channel: int, barrier: Barrier) -> Steps:
        if channel in self._ended:
            return ()
        # A channel brings barriers in order: it will not bring an older one any more.
        skipped = [
            older
            for older, (_, arrived) in self._pending.items()
            if older < barrier.checkpoint and channel not in arrived
        ]
        steps = tuple(_superseded(self._pending.pop(older)[0], barrier) for older in skipped)
        for older in skipped:
            self._aborted.add(older)
        if self._is_over(barrier.checkpoint):
            return steps
        _, arrived = self._pending.setdefault(barrier.checkpoint, (barrier, set()))
        arrived.add(channel)
        return steps + self._judge()

    def on_end(self, channel: int) -> Steps:
        self._ended.add(channel)
        return self._judge()

    def on_abort(self, checkpoint: int) -> Steps:
        self._pending.pop(checkpoint, None)
        if checkpoint > self._last:
            self._aborted.add(checkpoint)
        return ()

    def _judge(self) -> Steps:
        complete = [c for c, (_, arrived) in self._pending.items() if self._complete(arrived)]
        steps: list[Step] = []
        for checkpoint in sorted(complete):
            taken = self._pending.pop(checkpoint)[0]
            # What an input brought only after another one was past it would come too late.
            for older in sorted(c for c in self._pending if c < checkpoint):
                steps.append(_superseded(self._pending.pop(older)[0], taken))
            steps.append(Snapshot(taken))
            self._settle(checkpoint)
        return tuple(steps)


def _superseded(older: Barrier, newer: Barrier) -> Decline:
    reason = f"barrier {newer.checkpoint} came on an input that had not brought this one"
    return Decline(older.checkpoint, reason)
