"""The laws of flow control: nothing is sent without credit, nothing waits for ever, nothing is lost."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core.credit import CreditBudget, ReceiveCredit, SendCredit
from flowjob.errors import ProtocolError

KIB = 1024


class Channel:
    """A sender and a receiver with a wire in each direction, and frames waiting for credit."""

    def __init__(self, budget: CreditBudget) -> None:
        self.sender = SendCredit()
        self.receiver: ReceiveCredit = budget.add_channel()
        self.waiting: deque[int] = deque()
        self.wire: deque[int] = deque()
        self.back: deque[tuple[int, int]] = deque()
        self.queued: deque[int] = deque()
        self.granted = 0

    def open(self) -> None:
        self.back.append(self.receiver.open())

    def send(self) -> bool:
        if not self.waiting or not self.sender.allows(self.waiting[0]):
            return False
        size = self.waiting.popleft()
        alone = self.sender.outstanding == 0
        self.sender.spend(size)
        assert alone or self.sender.available >= 0
        self.wire.append(size)
        return True

    def arrive(self) -> bool:
        if not self.wire:
            return False
        size = self.wire.popleft()
        self.receiver.receive(size)
        self.queued.append(size)
        return True

    def consume(self) -> bool:
        if not self.queued:
            return False
        self.receiver.consume(self.queued.popleft())
        return True

    def grant(self) -> bool:
        grant = self.receiver.grant()
        if grant is None:
            return False
        self.back.append(grant)
        return True

    def credited(self) -> bool:
        if not self.back:
            return False
        returned, granted = self.back.popleft()
        self.granted += granted
        self.sender.add(returned, granted)
        return True

    def check(self) -> None:
        r = self.receiver
        assert r.unspent + r.queued + r.pending == r.window
        assert self.sender.available + self.sender.outstanding <= r.window or self.back


STEPS = ("send", "arrive", "consume", "grant", "credited")


@settings(max_examples=80)
@given(
    total=st.integers(32 * KIB, 512 * KIB),
    sizes=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([1, 300, 4 * KIB, 16 * KIB, 40 * KIB, 900 * KIB])),
        max_size=60,
    ),
    steps=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(STEPS)), max_size=150),
)  # fmt: skip
def test_what_is_sent_stays_within_what_is_granted_and_everything_arrives(
    total: int, sizes: list[tuple[int, int]], steps: list[tuple[int, str]]
) -> None:
    budget = CreditBudget(total, exclusive=64 * KIB, largest_window=256 * KIB)
    channels = [Channel(budget) for _ in range(4)]
    for channel in channels:
        channel.open()
    for number, size in sizes:
        channels[number].waiting.append(size)
    for number, step in steps:
        getattr(channels[number], step)()
        for channel in channels:
            channel.check()
        assert sum(c.receiver.window for c in channels) <= max(total, 4 * CreditBudget.SMALLEST)
    # Whatever happened before, going on without a plan gets everything through.
    while any(getattr(c, step)() for c in channels for step in STEPS):
        pass
    for channel in channels:
        assert not channel.waiting
        assert channel.sender.outstanding == 0
        assert channel.sender.available == channel.receiver.window
        channel.receiver.close()
    assert sum(c.receiver.window for c in channels) == 4 * budget.exclusive


def test_a_row_larger_than_the_window_goes_alone() -> None:
    channel = Channel(CreditBudget(64 * KIB, exclusive=64 * KIB, largest_window=64 * KIB))
    channel.open()
    channel.credited()
    channel.waiting.extend([10, 10**7, 10])
    assert channel.send()
    assert not channel.send()
    channel.arrive(), channel.consume(), channel.grant(), channel.credited()
    assert channel.send()
    assert not channel.send()
    channel.arrive(), channel.consume(), channel.grant(), channel.credited()
    assert channel.send()


def test_nothing_is_sent_before_the_first_grant() -> None:
    assert not SendCredit().allows(1)


def test_a_frame_without_credit_is_a_broken_peer() -> None:
    credit = CreditBudget(64 * KIB, exclusive=16 * KIB, largest_window=64 * KIB).add_channel()
    credit.open()
    credit.receive(16 * KIB)
    with pytest.raises(ProtocolError, match="without credit"):
        credit.receive(1)


def test_credit_that_was_never_owed_is_a_broken_peer() -> None:
    sender = SendCredit()
    sender.add(0, 100)
    with pytest.raises(ProtocolError, match="never sent"):
        sender.add(1, 1)
    with pytest.raises(ProtocolError, match="granted more"):
        SendCredit().add(0, 1 << 41)


def test_a_window_grows_while_it_is_what_holds_its_channel_up() -> None:
    credit = CreditBudget(1 << 20, exclusive=64 * KIB, largest_window=512 * KIB).add_channel()
    credit.open()
    windows = []
    for _ in range(5):
        credit.receive(credit.unspent)
        credit.consume(credit.queued)
        credit.grant()
        windows.append(credit.window)
    assert windows == [128 * KIB, 256 * KIB, 512 * KIB, 512 * KIB, 512 * KIB]


def test_a_slow_consumers_window_does_not_grow() -> None:
    credit = CreditBudget(1 << 20, exclusive=64 * KIB, largest_window=512 * KIB).add_channel()
    credit.open()
    credit.receive(32 * KIB)
    credit.receive(32 * KIB)
    for _ in range(5):
        credit.consume(32 * KIB)
        credit.grant()
        credit.receive(32 * KIB)
    assert credit.window == 64 * KIB


def test_channels_share_the_budget_and_give_back_what_others_need() -> None:
    budget = CreditBudget(512 * KIB, exclusive=64 * KIB, largest_window=512 * KIB)
    greedy, late = budget.add_channel(), budget.add_channel()
    greedy.open(), late.open()

    def use(credit: ReceiveCredit) -> None:
        credit.receive(credit.unspent)
        credit.consume(credit.queued)
        credit.grant()

    for _ in range(6):
        use(greedy)
    assert greedy.window == 448 * KIB
    use(late)
    assert late.window == 64 * KIB
    greedy.receive(200 * KIB)
    greedy.consume(200 * KIB)
    greedy.grant()
    use(late)
    assert late.window > 64 * KIB
    assert greedy.window + late.window <= 512 * KIB


def test_grants_are_gathered_while_there_is_more_to_consume() -> None:
    credit = CreditBudget(64 * KIB, exclusive=64 * KIB, largest_window=64 * KIB).add_channel()
    credit.open()
    for _ in range(10):
        credit.receive(KIB)
    credit.consume(KIB)
    assert credit.grant() is None
    for _ in range(9):
        credit.consume(KIB)
    assert credit.grant() == (10 * KIB, 10 * KIB)
