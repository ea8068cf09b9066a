"""The data plane in TLS: the same rows, ends and failures; and nothing can be read on the way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from flowjob.cluster.identity import JobId
from flowjob.core.elements import END_OF_INPUT, Watermark
from flowjob.errors import HandshakeRefused
from flowjob.plan.job_graph import Exchange
from flowjob.runtime.exchange import SlotExchange
from flowjob.runtime.real.network import RealNetwork
from flowjob.runtime.real.tls import TlsIdentity
from tests.certificates import Authority
from tests.runtime.exchange import harness as h
from tests.runtime.exchange.harness import Run

OURS = Authority("ours")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> RealNetwork:
    directory = tmp_path_factory.mktemp("identity")
    return RealNetwork(TlsIdentity(OURS.identity(directory, "taskmanager")))


def test_rows_controls_and_ends_arrive_in_order(run: Run, network: RealNetwork) -> None:
    async def scenario() -> None:
        placed = {(h.SOURCE, n): "left" for n in range(2)} | {
            (h.TARGET, n): "right" for n in range(3)
        }
        async with h.cluster([h.edge(Exchange.HASH)], placed, network=network) as c:
            for n in range(2):
                c.writers[0, n].write(h.sequence(n * 5000, 5000))
                c.writers[0, n].control(Watermark(n))
                c.writers[0, n].control(END_OF_INPUT)
            got = [
                e
                for gate in c.gates.values()
                for es in (await h.read_to_end(gate)).values()
                for e in es
            ]
            assert sorted(h.rows_of(got)) == list(range(10_000))
            await c.slots["left"].drain()
            assert not any(slot.failed.done() for slot in c.slots.values())

    run(scenario())


def test_large_batches_go_through_and_credit_comes_back(run: Run, network: RealNetwork) -> None:
    async def scenario() -> None:
        settings = replace(h.DEFAULTS, exclusive_bytes=64 * 1024, receive_budget=1 << 20)
        placed = h.one_to_one()
        async with h.cluster([h.edge(Exchange.FORWARD)], placed, settings, network) as c:
            for n in range(60):
                c.writers[0, 0].write(h.sequence(n * 16_384, 16_384))
            c.writers[0, 0].control(END_OF_INPUT)
            got = (await h.read_to_end(c.gates[0]))[0]
            assert h.rows_of(got) == list(range(60 * 16_384))
            await c.slots["left"].drain()

    run(scenario())


def test_a_slot_that_dies_is_noticed(run: Run, network: RealNetwork) -> None:
    async def scenario() -> None:
        async with h.cluster([h.edge(Exchange.FORWARD)], h.one_to_one(), network=network) as c:
            c.writers[0, 0].write(h.numbers(1))
            await h.read(c.gates[0], 1)
            await c.slots["left"].close()
            async with asyncio.timeout(5):
                assert "slot left was lost" in str(await asyncio.shield(c.slots["right"].failed))

    run(scenario())


def test_the_key_counts_as_well(run: Run, network: RealNetwork) -> None:
    """Of two lives of one job, both with its certificates."""

    async def scenario() -> None:
        world = replace(h.env(), network=network)
        there = SlotExchange(world, h.DEFAULTS, h.Identity("job", 1, "former key", "right"))
        here = SlotExchange(world, h.DEFAULTS, h.Identity("job", 1, "secret", "left"))
        try:
            address = h.SlotAddress("right", *await there.listen("127.0.0.1"))
            here.add_output(h.edge(Exchange.FORWARD), 0, [0], max_parallelism=128)
            with pytest.raises(HandshakeRefused, match="does not have this job's data key"):
                await here.connect({(h.TARGET, 0): address})
        finally:
            await here.close()
            await there.close()

    run(scenario())


@pytest.mark.parametrize("whose", ["another job", "another CA", "in the clear"])
def test_who_has_the_key_only_does_not_get_in(
    run: Run, network: RealNetwork, tmp_path: Path, whose: str
) -> None:
    if whose == "in the clear":
        stranger = RealNetwork()
    else:
        authority = OURS if whose == "another job" else Authority("theirs")
        job = JobId("shop", "flights", "other" if whose == "another job" else "0f3c")
        identity = TlsIdentity(authority.identity(tmp_path, "taskmanager", job))
        stranger = RealNetwork(identity)

    async def scenario() -> None:
        mine = replace(h.env(), network=network)
        theirs = replace(h.env(), network=stranger)
        patience = replace(h.DEFAULTS, connect_deadline=0.15)
        there = SlotExchange(mine, h.DEFAULTS, h.Identity("job", 1, "secret", "right"))
        here = SlotExchange(theirs, patience, h.Identity("job", 1, "secret", "left"))
        try:
            address = h.SlotAddress("right", *await there.listen("127.0.0.1"))
            here.add_output(h.edge(Exchange.FORWARD), 0, [0], max_parallelism=128)
            with pytest.raises((HandshakeRefused, ConnectionError)):
                await here.connect({(h.TARGET, 0): address})
            assert not there._incoming
            assert not there.failed.done()
        finally:
            await here.close()
            await there.close()

    run(scenario())


def test_nothing_can_be_read_on_the_way(run: Run, network: RealNetwork) -> None:
    """By one in between, who passes every byte on."""
    seen = bytearray()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            seen.extend(data)
            writer.write(data)
        writer.close()

    async def scenario() -> None:
        edge, world = h.edge(Exchange.FORWARD), replace(h.env(), network=network)
        there = SlotExchange(world, h.DEFAULTS, h.Identity("job", 1, "secret", "right"))
        here = SlotExchange(world, h.DEFAULTS, h.Identity("job", 1, "secret", "left"))
        gate = there.add_gate(h.TARGET, 0, [h.ChannelSpec(edge, 0)])
        writer = here.add_output(edge, 0, [0], max_parallelism=128)
        address = await there.listen("127.0.0.1")
        backward: list[asyncio.Task[None]] = []

        async def between(reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
            answers, on = await asyncio.open_connection(*address)
            backward.append(asyncio.ensure_future(pass_on(answers, back)))
            await pass_on(reader, on)

        server = await asyncio.start_server(between, "127.0.0.1", 0)
        try:
            middle = h.SlotAddress("right", *server.sockets[0].getsockname())
            await here.connect({(h.TARGET, 0): middle})
            writer.write(h.numbers(0x6E6E6E6E6E6E6E6E))
            writer.control(END_OF_INPUT)
            assert len((await h.read_to_end(gate))[0]) == 2
            await here.drain()
        finally:
            await here.close()
            await there.close()
            server.close()
            await asyncio.gather(*backward)

    run(scenario())
    assert len(seen) > 1000
    for word in (b"flowjob\0", b"left", b"right", b"nnnnnnnn"):
        assert word not in seen
