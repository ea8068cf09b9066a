"""One direction of a connection: what is sent arrives later, in order, unless the hosts are cut off from each other.

Bytes and whole messages travel the same way. It must not know what they mean, nor asyncio's transports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowjob.testing.simulation.process import SimProcess
from flowjob.testing.simulation.world import World

SOCKETPAIR_LATENCY = 0.00002
"""Seconds, within a host."""


class Link:
    """Between two processes, (source, target).

    arrive  called in the target for each item, in order
    broken  called in the source when the network gives up what it holds
    local   both are on one host and connected by a socketpair: no network can fail
    """

    def __init__(
        self,
        world: World,
        ends: tuple[SimProcess, SimProcess],
        arrive: Callable[[Any], None],
        broken: Callable[[], None],
        *,
        local: bool = False,
    ) -> None:
        self._world = world
        self._source, self._target = ends
        self._arrive = arrive
        self._broken = broken
        self._local = local
        self._last = 0.0
        self._held: list[Any] = []

    def send(self, item: Any) -> None:
        world = self._world
        cut = not self._local and world.is_cut(self._source.host, self._target.host)
        if cut or self._held:
            self._held.append(item)
            world.holding[self] = None
        else:
            self._deliver(item)

    def release(self) -> None:
        """The hosts reach each other again, perhaps: what was held back is sent again."""
        if not self._world.is_cut(self._source.host, self._target.host):
            held, self._held = self._held, []
            del self._world.holding[self]
            for item in held:
                self._deliver(item)

    def break_down(self, hosts: tuple[str, str]) -> None:
        """Between these hosts the network has given up: what it holds is lost, and the sender gets to know."""
        if {self._source.host, self._target.host} == set(hosts):
            self._held.clear()
            del self._world.holding[self]
            self._world.loop.post(self._source, self._broken)

    def _deliver(self, item: Any) -> None:
        loop = self._world.loop
        delay = SOCKETPAIR_LATENCY if self._local else self._world.latency()
        self._last = max(self._last, loop.time() + delay)
        loop.post_at(self._last, self._target, self._arrive, item)
