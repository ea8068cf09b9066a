"""Who may send how much: byte credits per channel, granted from one budget per receiving slot.

Pure: sizes in, grants out. A sender spends credit and waits without it; a receiver never stops reading, because what
it can be sent is bounded by what it granted. Windows float: a channel that is held up by its window (and not by its
consumer) gets more of the slot's budget, and gives it back when others need it. Sockets are runtime/exchange/."""

from __future__ import annotations

from flowjob.errors import ProtocolError

MAX_CREDIT = 1 << 40
"""More than this is a broken peer, not a grant."""

MAX_GRANT = (1 << 32) - 1
"""What one CREDIT entry can carry."""


class SendCredit:
    """A channel's credit at its sender.

    available    bytes that may be sent now; negative while a row larger than the window is on its way
    outstanding  bytes sent and not yet reported consumed
    """

    __slots__ = ("available", "outstanding")

    def __init__(self) -> None:
        self.available = 0
        self.outstanding = 0

    def allows(self, size: int) -> bool:
        """Whether a frame of `size` bytes may go. One larger than the whole window goes alone."""
        return size <= self.available or (self.outstanding == 0 and self.available > 0)

    def spend(self, size: int) -> None:
        self.available -= size
        self.outstanding += size

    def add(self, returned: int, granted: int) -> None:
        """The consumer has consumed `returned` bytes and allows `granted` more."""
        self.outstanding -= returned
        self.available += granted
        if self.outstanding < 0:
            raise ProtocolError("a peer returned credit for bytes that it was never sent")
        if self.available > MAX_CREDIT:
            raise ProtocolError(
                f"a peer granted more than {MAX_CREDIT:,} bytes of credit on one channel"
            )


class CreditBudget:
    """The bytes that may be on their way to, or queued in, one slot.

    Each channel has an exclusive part, so that none can starve; the rest floats between the channels. With very
    many channels the smallest exclusive part wins over `total`: the bound is then channels * SMALLEST."""

    SMALLEST = 16 * 1024

    __slots__ = (
        "_channels",
        "_largest_window",
        "exclusive",
        "floating",
        "holders",
        "pressed",
        "total",
    )

    def __init__(self, total: int, *, exclusive: int, largest_window: int) -> None:
        self.total = total
        self.exclusive = exclusive
        self.floating = total
        self.holders = 0
        self.pressed = False
        self._largest_window = largest_window
        self._channels = 0

    def add_channel(self) -> ReceiveCredit:
        """Count a channel. All channels must be added before the first is opened."""
        self._channels += 1
        share = self.total // (2 * self._channels)
        self.exclusive = min(self.exclusive, max(self.SMALLEST, share))
        self.floating = max(0, self.total - self._channels * self.exclusive)
        return ReceiveCredit(self)

    def take(self, window: int) -> int:
        """Bytes by which a window that holds its channel up may grow: at most doubling."""
        wanted = min(window, self._largest_window - window)
        if wanted <= 0:
            return 0
        taken = min(wanted, self.floating)
        self.pressed = taken < wanted
        if taken and window <= self.exclusive:
            self.holders += 1
        self.floating -= taken
        return taken

    def excess(self, window: int) -> int:
        """Bytes of a window beyond its fair share while another channel is waiting for some."""
        if not self.pressed or window <= self.exclusive:
            return 0
        held = self.total - self.floating - self._channels * self.exclusive
        fair = self.exclusive + max(0, held + self.floating) // (self.holders + 1)
        return max(0, window - fair)

    def give_back(self, amount: int, window: int) -> None:
        """`amount` floating bytes return; `window` is what remains of the channel's."""
        self.floating += amount
        if amount and window <= self.exclusive:
            self.holders -= 1
        self.pressed = False


class ReceiveCredit:
    """A channel's credit at its receiver. Always unspent + queued + pending == window.

    window   what the channel may have on its way and queued
    unspent  granted and not yet received; negative while a row larger than the window is queued
    queued   received and not yet consumed
    pending  consumed and not yet reported to the sender
    """

    __slots__ = ("_budget", "pending", "queued", "unspent", "window")

    def __init__(self, budget: CreditBudget) -> None:
        self._budget = budget
        self.window = 0
        self.unspent = 0
        self.queued = 0
        self.pending = 0

    def open(self) -> tuple[int, int]:
        """The first grant."""
        self.window = self.unspent = self._budget.exclusive
        return 0, self.window

    def receive(self, size: int) -> None:
        """A frame of `size` bytes begins to arrive. Raises ProtocolError when it was not granted."""
        if size > self.unspent and not (self.unspent == self.window > 0):
            raise ProtocolError(
                f"a frame of {size:,} bytes without credit ({max(0, self.unspent):,} left)"
            )
        self.unspent -= size
        self.queued += size

    def consume(self, size: int) -> None:
        """A queued frame was handed to the task."""
        self.queued -= size
        self.pending += size

    def grant(self) -> tuple[int, int] | None:
        """(consumed, newly granted) to report now, or None to wait for more to report.

        Never None when nothing is queued: then the sender may be waiting for just these bytes."""
        pending = self.pending
        if pending == 0 or (self.queued and pending * 4 < self.window):
            return None
        returned = min(pending, MAX_GRANT >> 1)
        granted = returned
        budget = self._budget
        if self.queued == 0 and self.unspent * 2 < self.window:
            # All that came was consumed and the sender had used up its window: the window is what limits it.
            extra = budget.take(self.window)
            self.window += extra
            granted += extra
        elif budget.pressed:
            surplus = min(returned, budget.excess(self.window))
            self.window -= surplus
            granted -= surplus
            budget.give_back(surplus, self.window)
        self.pending -= returned
        self.unspent += granted
        return returned, granted

    def close(self) -> None:
        """The channel has ended: its floating part is free for others."""
        surplus = self.window - self._budget.exclusive
        if surplus > 0:
            self._budget.give_back(surplus, self._budget.exclusive)
            self.window -= surplus
            self.unspent -= surplus
