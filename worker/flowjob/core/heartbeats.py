"""Decides from silence alone that a peer is lost. Pure: the caller brings the time.

Silence only counts while the observer itself was awake: one that was stopped (Ctrl-Z, a sleeping laptop, a starved
machine) would otherwise declare every peer lost on waking."""

from __future__ import annotations


class HeartbeatMonitor:
    """Call `tick` about every `interval` seconds and `seen` whenever a peer shows life."""

    def __init__(self, *, interval: float, timeout: float) -> None:
        if timeout <= interval:
            raise ValueError(f"timeout ({timeout} s) must exceed interval ({interval} s)")
        self.interval = interval
        self.timeout = timeout
        self._last_seen: dict[str, float] = {}
        self._last_tick: float | None = None

    def seen(self, peer: str, now: float) -> None:
        """`peer` is alive at `now`; an unknown one is watched from here on."""
        self._last_seen[peer] = now

    def forget(self, peer: str) -> None:
        self._last_seen.pop(peer, None)

    def silence(self, peer: str, now: float) -> float:
        """Seconds since `peer` was last seen (as counted here); 0 when it is not watched."""
        return now - self._last_seen.get(peer, now)

    def tick(self, now: float) -> list[str]:
        """Peers lost as of `now`, which are no longer watched."""
        slept = 0.0 if self._last_tick is None else now - self._last_tick - self.interval
        self._last_tick = now
        if slept > self.interval:
            self._last_seen = {p: min(at + slept, now) for p, at in self._last_seen.items()}
        lost = [p for p, at in self._last_seen.items() if now - at > self.timeout]
        for peer in lost:
            del self._last_seen[peer]
        return lost
