"""A slot's data plane: its gates, its writers, one listening port and one connection per peer.

Built in three steps, because slots must know each other's addresses before they connect: listen and add gates and
outputs; learn the locations; connect. Nothing here runs as a task: everything happens in callbacks of the loop,
so nothing can be left behind. It must not know operators."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from flowjob.core.credit import CreditBudget
from flowjob.core.handshake import Connecting, nonce_of
from flowjob.errors import ProtocolError
from flowjob.plan.job_graph import Edge
from flowjob.runtime.env import Env, Listener
from flowjob.runtime.exchange import local
from flowjob.runtime.exchange.channels import OutputChannel
from flowjob.runtime.exchange.flushing import IntervalFlusher, TurnReturns
from flowjob.runtime.exchange.gate import InputChannel, InputGate
from flowjob.runtime.exchange.partitioners import HashPartitioner, partitioner_for
from flowjob.runtime.exchange.receiver import IncomingConnection
from flowjob.runtime.exchange.sender import OutgoingConnection
from flowjob.runtime.exchange.serialization import WireFormat
from flowjob.runtime.exchange.settings import ChannelSpec, ExchangeSettings, Identity, SlotAddress
from flowjob.runtime.exchange.staging import Stage
from flowjob.runtime.exchange.writer import EdgeWriter

RETRY_SECONDS = 0.05

Locations = Mapping[tuple[int, int], SlotAddress]
"""(vertex id, subtask) -> where it runs."""


class SlotExchange:
    """One per slot process and attempt; make it inside the running loop.

    failed   done with the exception when a peer was lost or broke the protocol; never raised, never cancelled
    """

    def __init__(self, env: Env, settings: ExchangeSettings, identity: Identity) -> None:
        self.env = env
        self.settings = settings
        self.identity = identity
        self.inputs: dict[tuple[int, int, int], InputChannel] = {}
        self.gates: dict[tuple[int, int], InputGate] = {}
        self.writers: list[EdgeWriter] = []
        self.failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._budget = CreditBudget(
            settings.receive_budget,
            exclusive=settings.exclusive_bytes,
            largest_window=settings.largest_window,
        )
        self._flusher = IntervalFlusher(env.clock, settings.flush_interval, self.fail)
        self._returns = TurnReturns()
        self._listener: Listener | None = None
        self._strangers: dict[IncomingConnection, None] = {}
        self._incoming: set[IncomingConnection] = set()
        self._outgoing: list[OutgoingConnection] = []
        self._closing = False
        self._all_gone: asyncio.Future[None] | None = None

    # -- building -------------------------------------------------------------------------------------

    async def listen(self, host: str, port: int = 0) -> tuple[str, int]:
        """Open the port for peers; returns its address."""
        self._listener = await self.env.network.listen(host, port, lambda: IncomingConnection(self))
        return self._listener.address

    def add_gate(self, vertex: int, subtask: int, channels: Sequence[ChannelSpec]) -> InputGate:
        """The inputs of a task of this slot. Before any peer connects."""
        gate = InputGate(vertex, subtask, self.env.clock, self._returns, self.fail)
        made = []
        for index, spec in enumerate(channels):
            wire = WireFormat(spec.edge, largest=self.settings.largest_row)
            channel = InputChannel(
                gate, index, spec.edge, spec.producer, wire, self._budget.add_channel()
            )
            place = (spec.edge.id, spec.producer, subtask)
            if place in self.inputs:
                raise ValueError(
                    "edge {} from subtask {} to subtask {} was added twice".format(*place)
                )
            self.inputs[place] = channel
            made.append(channel)
        gate.channels = made
        self.gates[vertex, subtask] = gate
        return gate

    def add_output(
        self, edge: Edge, producer: int, consumers: Sequence[int], *, max_parallelism: int
    ) -> EdgeWriter:
        """The output of subtask `producer` on `edge`; `consumers` are the subtasks it has a channel to, in order
        (plan.job_graph.consumers_of; for HASH all of them)."""
        settings = self.settings
        wire = WireFormat(edge, settings.compression, settings.largest_row)
        channels = [
            OutputChannel(producer, consumer, wire, settings, self._flusher)
            for consumer in consumers
        ]
        partitioner = partitioner_for(edge, producer, consumers, max_parallelism)
        stage = None
        if isinstance(partitioner, HashPartitioner):
            stage = Stage(channels, partitioner, self._flusher)
        writer = EdgeWriter(producer, channels, wire, partitioner, stage)
        self.writers.append(writer)
        return writer

    async def connect(self, locations: Locations) -> None:
        """Connect every output to its consumers: one connection per peer slot, none to this one.

        Raises HandshakeRefused when a peer refuses, ConnectionError when one can't be reached in time."""
        remote: dict[SlotAddress, list[OutputChannel]] = {}
        for writer in self.writers:
            for channel in writer.channels:
                address = locations[writer.edge.target, channel.consumer]
                if address.slot == self.identity.slot:
                    target = self.inputs[writer.edge.id, writer.producer, channel.consumer]
                    local.connect(channel, target, address.slot, self.settings.batch_rows)
                else:
                    remote.setdefault(address, []).append(channel)
        if remote:
            attempts = [
                asyncio.ensure_future(self._reach(address, channels))
                for address, channels in remote.items()
            ]
            try:
                await asyncio.gather(*attempts)
            finally:
                for attempt in attempts:
                    attempt.cancel()
                await asyncio.gather(*attempts, return_exceptions=True)

    # -- life -----------------------------------------------------------------------------------------

    @property
    def in_flight_bytes(self) -> int:
        """Sent by this slot and not yet consumed."""
        return sum(w.in_flight_bytes for w in self.writers)

    @property
    def queued_bytes(self) -> int:
        """Received by this slot and not yet consumed."""
        return sum(g.queued_bytes for g in self.gates.values())

    async def drain(self) -> None:
        """After END on every output: until every peer has received everything. A slot that exits before loses data."""
        await asyncio.gather(*(asyncio.shield(c.lost) for c in self._outgoing))

    async def close(self) -> None:
        """Close everything at once; nothing is sent any more and nothing is left running."""
        self._closing = True
        self._flusher.close()
        self._returns.close()
        for gate in self.gates.values():
            gate.close()
        if self._incoming:
            self._all_gone = asyncio.get_running_loop().create_future()
        for incoming in self._incoming:
            incoming.abort()
        for outgoing in self._outgoing:
            outgoing.abort()
        if self._listener is not None:
            await self._listener.close()
        await asyncio.gather(*(asyncio.shield(c.lost) for c in self._outgoing))
        if self._all_gone is not None:
            await self._all_gone

    # -- for connections ------------------------------------------------------------------------------

    def fail(self, error: Exception) -> None:
        """The first failure is the one that counts."""
        if not self._closing and not self.failed.done():
            self.failed.set_result(error)

    def nonce(self) -> bytes:
        return nonce_of(self.env.random.token())

    def returning(self, connection: IncomingConnection) -> None:
        self._returns.returning(connection)

    def changed(self, connection: IncomingConnection) -> None:
        """An incoming connection was made, authenticated or closed."""
        self._strangers.pop(connection, None)
        if connection.closed:
            self._incoming.discard(connection)
            if self._all_gone is not None and not self._incoming:
                self._all_gone.set_result(None)
            return
        self._incoming.add(connection)
        if self._closing:
            connection.abort()
        elif connection.peer is None:
            self._strangers[connection] = None
            if len(self._strangers) > self.settings.max_strangers:
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                oldest.abort()

    async def _reach(self, address: SlotAddress, channels: Sequence[OutputChannel]) -> None:
        """Connect to one peer, again and again until it answers or time is up."""
        clock = self.env.clock
        give_up_at = clock.monotonic() + self.settings.connect_deadline
        while True:
            handshake = Connecting(self.identity, address.slot, self.nonce())
            connection = OutgoingConnection(handshake, address, self.settings, self.fail)
            self._outgoing.append(connection)
            left = max(0.001, give_up_at - clock.monotonic())
            timer = asyncio.get_running_loop().call_later(left, connection.time_out)
            try:
                await self.env.network.connect(
                    address.host,
                    address.port,
                    _always(connection),
                    deadline=left,
                )
                await connection.welcomed
            except ProtocolError:
                raise
            except OSError as error:  # TimeoutError and ConnectionError among them
                if clock.monotonic() + RETRY_SECONDS >= give_up_at:
                    raise ConnectionError(
                        f"slot {address.slot} at {address.host}:{address.port} can't be reached "
                        f"within {self.settings.connect_deadline:g} s: {error}"
                    ) from error
                self._outgoing.remove(connection)
                await clock.sleep(RETRY_SECONDS)
            else:
                connection.start(channels)
                return
            finally:
                timer.cancel()


def _always(connection: OutgoingConnection) -> Callable[[], OutgoingConnection]:
    """A protocol factory that gives this one."""
    return lambda: connection
