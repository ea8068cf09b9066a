"""Barrier handlers: however channels bring barriers, each snapshot is taken once and at the right time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core.alignment import (
    Aligned,
    AtLeastOnce,
    BarrierHandler,
    Block,
    Decline,
    Overtaking,
    Snapshot,
    Step,
    Unblock,
)
from flowjob.core.elements import Barrier, Stop

END = "end"
Fact = tuple[Any, ...]


def play(handler: BarrierHandler, facts: Sequence[Fact]) -> list[str]:
    """The steps as words: `take 1`, `block 0`, `free 0 1`, `decline 1`."""
    said: list[str] = []
    for fact in facts:
        said += [word(step) for step in tell(handler, fact)]
    return said


def tell(handler: BarrierHandler, fact: Fact) -> tuple[Step, ...]:
    match fact:
        case int(channel), "end":
            return handler.on_end(channel)
        case int(channel), int(checkpoint):
            return handler.on_barrier(channel, Barrier(checkpoint))
        case "trigger", int(checkpoint):
            return handler.on_trigger(Barrier(checkpoint))
        case "abort", int(checkpoint):
            return handler.on_abort(checkpoint)
        case "timeout", int(checkpoint):
            return handler.on_timeout(Barrier(checkpoint))
    raise AssertionError(fact)


def word(step: Step) -> str:
    match step:
        case Block(channel):
            return f"block {channel}"
        case Unblock(channels):
            return " ".join(["free", *map(str, channels)])
        case Snapshot(barrier, capture):
            kept = " ".join(["", "with", *map(str, capture)]) if capture else ""
            return f"{'hurry' if barrier.unaligned else 'take'} {barrier.checkpoint}{kept}"
        case Decline(checkpoint):
            return f"decline {checkpoint}"


ALIGNED = {
    "a channel waits from its barrier until all have brought theirs": (
        2, [(0, 1), (1, 1)], ["block 0", "take 1", "free 0 1"]),
    "a single channel never waits": (1, [(0, 1), (0, 2)], ["take 1", "free 0", "take 2", "free 0"]),
    "a duplicate changes nothing": (2, [(0, 1), (0, 1), (1, 1), (1, 1), (0, 1)], ["block 0", "take 1", "free 0 1"]),
    "a late barrier of a newer checkpoint under way is passed over": (
        3, [(0, 2), (1, 1), (1, 2), (2, 1), (2, 2)], ["block 0", "block 1", "take 2", "free 0 1 2"]),
    "a channel that skips one ends the waiting for it": (
        2, [(0, 1), (1, 2), (0, 2)], ["block 0", "decline 1", "free 0", "block 1", "take 2", "free 0 1"]),
    "a barrier out of order is never taken after a newer one": (
        2, [(0, 2), (1, 2), (0, 1), (1, 1)], ["block 0", "take 2", "free 0 1"]),
    "an abort frees what waits, and late barriers pass": (
        2, [(0, 1), ("abort", 1), (1, 1), (0, 2), (1, 2)], ["block 0", "free 0", "block 0", "take 2", "free 0 1"]),
    "an abort before its first barrier keeps it from being waited for": (
        2, [("abort", 2), (0, 1), (1, 1), (0, 2), (1, 2), (0, 3)], ["block 0", "take 1", "free 0 1", "block 0"]),
    "an aborted barrier still says that its channel skipped the one before": (
        2, [("abort", 2), (0, 1), (1, 2)], ["block 0", "decline 1", "free 0"]),
    "an abort of what is over changes nothing": (
        2, [(0, 1), (1, 1), ("abort", 1), (0, 2)], ["block 0", "take 1", "free 0 1", "block 0"]),
    "a channel that ended before counts as aligned": (2, [(0, END), (1, 1)], ["take 1", "free 1"]),
    "a channel that ends while others wait completes it": (2, [(0, 1), (1, END)], ["block 0", "take 1", "free 0"]),
    "a channel that ends without any barrier under way does nothing": (2, [(0, 1), (1, 1), (0, END)],
        ["block 0", "take 1", "free 0 1"]),
    "a channel that ends after its barrier still counts once": (
        3, [(0, 1), (1, 1), (1, END), (2, 1)], ["block 0", "block 1", "take 1", "free 0 1 2"]),
    "two channels end, the third brings the barrier": (3, [(0, END), (2, END), (1, 4)], ["take 4", "free 1"]),
    "an ended task answers triggers, each once": (
        1, [(0, END), ("trigger", 1), ("trigger", 1), ("trigger", 2)], ["take 1", "take 2"]),
    "a task answers no trigger before all its inputs have ended": (
        2, [(0, END), ("trigger", 1), (1, 1)], ["take 1", "free 1"]),
    "a trigger for what was taken by barriers is not answered again": (
        1, [(0, 1), (0, END), ("trigger", 1)], ["take 1", "free 0"]),
    "an aborted trigger is not answered": (0, [("abort", 1), ("trigger", 1), ("trigger", 2)], ["take 2"]),
    "a task without inputs is triggered": (0, [("trigger", 1), ("trigger", 3), ("trigger", 2)], ["take 1", "take 3"]),
    "one after the other": (
        2, [(0, 1), (1, 1), (1, 2), (0, 2)], ["block 0", "take 1", "free 0 1", "block 1", "take 2", "free 0 1"]),
}  # fmt: skip

AT_LEAST_ONCE = {
    "nobody waits": (2, [(0, 1), (1, 1)], ["take 1"]),
    "checkpoints overlap": (2, [(0, 1), (0, 2), (1, 1), (0, 3), (1, 2), (1, 3)], ["take 1", "take 2", "take 3"]),
    "a duplicate changes nothing": (2, [(0, 1), (0, 1), (1, 1), (0, 1)], ["take 1"]),
    "a channel that skips one lets go of it alone": (
        2, [(0, 1), (0, 2), (1, 2), (1, 1)], ["decline 1", "take 2"]),
    "an older one that another channel has skipped is declined": (
        2, [(1, 2), (0, 1), (0, 2)], ["decline 1", "take 2"]),
    "one that begins where another input is past it is never taken after a newer one": (
        2, [(0, 2), (0, 3), (1, 1), (1, 2), (0, END)], ["decline 1", "take 2"]),
    "an end completes all that wait, in order": (2, [(0, 1), (0, 2), (1, END)], ["take 1", "take 2"]),
    "an ended channel is not waited for": (2, [(0, END), (1, 1)], ["take 1"]),
    "an abort lets go of one alone": (2, [(0, 1), (0, 2), ("abort", 1), (1, 1), (1, 2)], ["take 2"]),
    "an abort may come first": (2, [("abort", 1), (0, 1), (1, 1), (0, 2), (1, 2)], ["take 2"]),
    "an ended task answers triggers, each once": (
        1, [(0, END), ("trigger", 1), ("trigger", 1), ("trigger", 2)], ["take 1", "take 2"]),
    "a late barrier of what was taken changes nothing": (
        2, [(0, 1), (0, 2), (1, 2), (1, 1), (0, 3), (1, 3)], ["decline 1", "take 2", "take 3"]),
    "a channel that ends after its barrier counts once": (3, [(0, 1), (0, END), (1, 1), (2, 1)], ["take 1"]),
    "an abort of what is over changes nothing": (
        2, [(0, 1), (1, 1), ("abort", 1), (0, 2), (1, 2)], ["take 1", "take 2"]),
    "an aborted trigger is not answered": (1, [(0, END), ("abort", 1), ("trigger", 1), ("trigger", 2)], ["take 2"]),
    "a task answers no trigger before all its inputs have ended": (2, [(0, END), ("trigger", 1), (1, 1)], ["take 1"]),
}  # fmt: skip


OVERTAKING = {
    "without a timeout it aligns": (2, {}, [(0, 1), (1, 1)], ["block 0", "take 1", "free 0 1"]),
    "after the timeout the missing channels' data is kept": (
        3, {}, [(0, 1), ("timeout", 1), (1, 1), (2, 1)], ["block 0", "hurry 1 with 1 2", "free 0"]),
    "a timeout before any barrier is seen here": (2, {}, [("timeout", 1), (0, 1)], ["hurry 1 with 0 1", "free"]),
    "an ended channel has nothing to be kept": (
        3, {}, [(1, END), (0, 1), ("timeout", 1)], ["block 0", "hurry 1 with 2", "free 0"]),
    "channels in place are waited for": (
        3, {1}, [(0, 1), ("timeout", 1), (1, 1)], ["block 0", "hurry 1 with 2", "free 0 1"]),
    "a channel that aligns meanwhile waits": (
        3, {1}, [("timeout", 1), (0, 1), (2, 1), (1, 1)], ["block 0", "block 2", "hurry 1", "free 0 1 2"]),
    "a channel in place that ends is not waited for": (
        2, {1}, [(0, 1), ("timeout", 1), (1, END)], ["block 0", "hurry 1", "free 0"]),
    "a timeout of what is over changes nothing": (
        2, {}, [(0, 1), (1, 1), ("timeout", 1), (0, 2)], ["block 0", "take 1", "free 0 1", "block 0"]),
    "a timeout of what was aborted changes nothing": (2, {}, [("abort", 1), ("timeout", 1)], []),
    "a timeout of the next one ends the waiting for this one as well": (
        2, {}, [(0, 1), ("timeout", 2), (1, 1), (1, 2)],
        ["block 0", "hurry 1 with 1", "free 0", "hurry 2 with 0", "free 1"]),
    "an abort after the timeout frees what waits": (
        2, {1}, [(0, 1), ("timeout", 1), ("abort", 1), (1, 1)], ["block 0", "free 0"]),
    "duplicates after it was taken change nothing": (
        2, {}, [(0, 1), ("timeout", 1), (1, 1), (0, 1), (1, 1), ("timeout", 1)],
        ["block 0", "hurry 1 with 1", "free 0"]),
    "a channel that ends after the timeout has brought all there is to keep": (
        2, {}, [(0, 1), ("timeout", 1), (1, END), (0, 2)], ["block 0", "hurry 1 with 1", "free 0", "take 2", "free 0"]),
    "a channel in place that skips it ends the waiting": (
        2, {1}, [(0, 1), ("timeout", 1), (1, 2), (0, 2)],
        ["block 0", "decline 1", "free 0", "block 1", "take 2", "free 0 1"]),
    "an abort after it was taken changes nothing": (
        2, {}, [(0, 1), ("timeout", 1), ("abort", 1), (1, 1), (0, 2)],
        ["block 0", "hurry 1 with 1", "free 0", "block 0"]),
    "the next one aligns again": (
        2, {}, [("timeout", 1), (0, 1), (1, 1), (0, 2), (1, 2)],
        ["hurry 1 with 0 1", "free", "block 0", "take 2", "free 0 1"]),
}  # fmt: skip


@pytest.mark.parametrize("case", OVERTAKING)
def test_overtaking(case: str) -> None:
    channels, in_place, facts, steps = OVERTAKING[case]
    assert play(Overtaking(channels, frozenset(in_place)), facts) == steps


@pytest.mark.parametrize("case", ALIGNED)
def test_overtaking_is_aligned_as_long_as_nothing_takes_too_long(case: str) -> None:
    channels, facts, steps = ALIGNED[case]
    assert play(Overtaking(channels), facts) == steps


@pytest.mark.parametrize("case", ALIGNED)
def test_aligned(case: str) -> None:
    channels, facts, steps = ALIGNED[case]
    assert play(Aligned(channels), facts) == steps


@pytest.mark.parametrize("case", AT_LEAST_ONCE)
def test_at_least_once(case: str) -> None:
    channels, facts, steps = AT_LEAST_ONCE[case]
    assert play(AtLeastOnce(channels), facts) == steps


@pytest.mark.parametrize("kind", [Aligned, AtLeastOnce])
def test_the_barrier_is_handed_on_as_it_came(kind: Callable[[int], BarrierHandler]) -> None:
    barrier = Barrier(3, savepoint=True, stop=Stop.DRAIN, directory="savepoints/x")
    assert kind(1).on_barrier(0, barrier)[0] == Snapshot(barrier)


@pytest.mark.parametrize("kind", [Aligned, AtLeastOnce])
def test_a_timeout_changes_nothing_where_barriers_keep_their_place(
    kind: Callable[[int], BarrierHandler],
) -> None:
    handler = kind(2)
    handler.on_barrier(0, Barrier(1))
    assert handler.on_timeout(Barrier(1)) == ()


class Channels:
    """What every channel still has to bring; a blocked one brings nothing."""

    def __init__(self, scripts: Sequence[Sequence[int]], ends: Sequence[bool]) -> None:
        self.left = [deque[Any](s) for s in scripts]
        for queue, end in zip(self.left, ends):
            if end:
                queue.append(END)
        self.blocked: set[int] = set()
        self.brought: list[set[int]] = [set() for _ in scripts]
        self.ended: set[int] = set()

    def able(self) -> list[int]:
        return [c for c, queue in enumerate(self.left) if queue and c not in self.blocked]

    def bring(self, channel: int) -> Fact:
        element = self.left[channel].popleft()
        if element == END:
            self.ended.add(channel)
        else:
            self.brought[channel].add(element)
        return channel, element

    def obey(self, step: Step) -> None:
        match step:
            case Block(channel):
                assert channel not in self.blocked
                self.blocked.add(channel)
            case Unblock(channels):
                self.blocked.difference_update(channels)


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from([Aligned, AtLeastOnce]),
    scripts=st.lists(st.sets(st.integers(1, 5)), min_size=1, max_size=4),
    ends=st.lists(st.booleans(), min_size=4, max_size=4),
    aborted=st.sets(st.integers(1, 5), max_size=2),
    draw=st.data(),
)
def test_in_any_interleaving_each_checkpoint_is_taken_once_and_after_every_channel(
    kind: Callable[[int], BarrierHandler],
    scripts: list[set[int]],
    ends: list[bool],
    aborted: set[int],
    draw: st.DataObject,
) -> None:
    channels = Channels([sorted(s) for s in scripts], ends)
    handler = kind(len(scripts))
    taken: list[int] = []
    declined: set[int] = set()
    to_abort = sorted(aborted)
    heard_of_abort: set[int] = set()
    while able := channels.able():
        if to_abort and draw.draw(st.booleans()):
            checkpoint = to_abort.pop()
            heard_of_abort.add(checkpoint)
            fact: Fact = ("abort", checkpoint)
        else:
            fact = channels.bring(draw.draw(st.sampled_from(able)))
        for step in tell(handler, fact):
            channels.obey(step)
            if isinstance(step, Snapshot):
                checkpoint = step.barrier.checkpoint
                for channel, brought in enumerate(channels.brought):
                    assert checkpoint in brought or channel in channels.ended
                assert checkpoint not in heard_of_abort
                taken.append(checkpoint)
            elif isinstance(step, Decline):
                assert step.checkpoint not in declined
                declined.add(step.checkpoint)
    assert taken == sorted(set(taken))
    assert not declined & set(taken)
    everywhere = set.intersection(
        *({1, 2, 3, 4, 5} if c in channels.ended else b for c, b in enumerate(channels.brought))
    )
    somewhere = set().union(*channels.brought)
    if not aborted:
        # One that came only after a newer one had begun is passed over: the newer one stands for it.
        settled = set(taken) | declined
        for checkpoint in everywhere & somewhere:
            assert checkpoint in settled or any(newer > checkpoint for newer in somewhere)
    if all(s == scripts[0] for s in scripts) and not aborted:
        assert taken == sorted(scripts[0])
        assert not channels.blocked
