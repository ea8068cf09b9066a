"""Who may connect. Strangers, wrong peers and broken ones neither crash, hang nor fill a slot."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core import frames, greetings
from flowjob.core.elements import END_OF_INPUT
from flowjob.core.handshake import Connecting, nonce_of
from flowjob.errors import HandshakeRefused, ProtocolError
from flowjob.plan.job_graph import Exchange
from flowjob.runtime.exchange import (
    ChannelSpec,
    ExchangeSettings,
    Identity,
    SlotAddress,
    SlotExchange,
)
from flowjob.runtime.exchange.serialization import WireFormat
from tests.runtime.exchange import harness as h
from tests.runtime.exchange.harness import Run

EDGE = h.edge(Exchange.FORWARD)
ME = Identity("job", 2, "secret", "right")


@asynccontextmanager
async def listening(
    settings: ExchangeSettings = h.DEFAULTS,
) -> AsyncIterator[tuple[SlotExchange, tuple[str, int]]]:
    slot = SlotExchange(h.env(), settings, ME)
    try:
        address = await slot.listen("127.0.0.1")
        slot.add_gate(h.TARGET, 0, [ChannelSpec(EDGE, 0)])
        yield slot, address
    finally:
        await slot.close()


async def connect_as(identity: Identity, address: tuple[str, int]) -> None:
    slot = SlotExchange(h.env(), replace(h.DEFAULTS, connect_deadline=5), identity)
    try:
        slot.add_output(EDGE, 0, [0], max_parallelism=128)
        await slot.connect({(h.TARGET, 0): SlotAddress("right", *address)})
    finally:
        await slot.close()


def greeting(version: int = frames.VERSION) -> bytes:
    return greetings.hello(greetings.Hello(version, b"n" * 32, ME.attempt, ME.job, "left", ME.slot))


async def authenticated(
    address: tuple[str, int],
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection of slot `left`, behind its handshake, for whatever bytes a test wants to send."""
    reader, writer = await asyncio.open_connection(*address)
    handshake = Connecting(replace(ME, slot="left"), ME.slot, nonce_of("once"))
    writer.write(handshake.hello())
    answer = await reader.readexactly(frames.HEADER_SIZE + 64)
    writer.write(handshake.answer(answer[frames.HEADER_SIZE :]))
    assert await reader.readexactly(frames.HEADER_SIZE) == frames.welcome()
    return reader, writer


def opening() -> bytes:
    return frames.open_channel(0, frames.Open(0, 0, 0, WireFormat(EDGE).schema_message()))


async def say(address: tuple[str, int], data: bytes) -> bytes:
    """Sends `data` and returns all that comes back until the slot closes the connection."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(data)
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        (replace(ME, key="guess"), "this slot refuses slot right at 127.0.0.1:"),
        (replace(ME, key="guess"), "it does not have this job's data key"),
        (replace(ME, key=""), "does not have this job's data key"),
        (replace(ME, job="other", key="guess"), "does not have this job's data key"),
        (replace(ME, job="other"), "it belongs to job 'other', this slot to 'job'"),
        (replace(ME, attempt=1), "it belongs to a stale attempt 1, this slot to attempt 2"),
        (replace(ME, attempt=3), "it belongs to a newer attempt 3"),
    ],
)
def test_a_wrong_peer_is_refused_and_told_why(run: Run, identity: Identity, reason: str) -> None:
    async def scenario() -> None:
        async with listening() as (slot, address):
            with pytest.raises(HandshakeRefused, match=re.escape(reason)):
                await connect_as(replace(identity, slot="left"), address)
            assert not slot.failed.done()

    run(scenario())


def test_another_protocol_version_is_refused(run: Run) -> None:
    async def scenario() -> bytes:
        async with listening() as (_, address):
            return await say(address, greeting(version=99))

    assert b"speaks protocol version 99" in run(scenario())


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (greetings.proof(bytes(32)), b"does not have this job's data key"),
        (opening(), None),
        (greeting(), None),
        (frames.welcome(), None),
        (frames.header(33, frames.PROOF, 0, 0, 0) + bytes(33), None),
    ],
)
def test_who_does_not_answer_the_challenge_is_sent_away_and_fails_nothing(
    run: Run, sent: bytes, answer: bytes | None
) -> None:
    async def scenario() -> None:
        async with listening() as (slot, address):
            said = (await say(address, greeting() + sent))[frames.HEADER_SIZE + 64 :]
            assert said == b"" if answer is None else answer in said
            assert not slot.failed.done()
            assert not slot.inputs[0, 0, 0].connected
            await connect_as(replace(ME, slot="left"), address)

    run(scenario())


def test_an_overheard_connection_cannot_be_played_again(run: Run) -> None:
    """Byte for byte, to the same slot, in the same attempt."""

    async def scenario() -> None:
        async with listening() as (slot, address):
            reader, writer = await asyncio.open_connection(*address)
            handshake = Connecting(replace(ME, slot="left"), ME.slot, nonce_of("once"))
            writer.write(handshake.hello())
            challenge = (await reader.readexactly(frames.HEADER_SIZE + 64))[frames.HEADER_SIZE :]
            overheard = handshake.hello() + handshake.answer(challenge)
            writer.close()
            said = await say(address, overheard + opening())
            assert b"does not have this job's data key" in said
            assert not slot.failed.done()

    run(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        frames.welcome(),
        greetings.challenge(bytes(32), bytes(32)),
        greetings.challenge(bytes(32), bytes(32))[:-1],
        frames.credit([(0, 0, 100)]),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
    ids=["welcome", "a false proof", "a part of one", "credit", "HTTP"],
)
def test_a_listener_without_the_key_is_not_taken_for_a_slot(run: Run, answer: bytes) -> None:
    """Nothing but the greeting is ever sent to it."""
    heard: list[bytes] = []

    async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        with contextlib.suppress(ConnectionError):
            heard.append(await reader.read())
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(pretend, "127.0.0.1", 0)
        slot = SlotExchange(h.env(), replace(h.DEFAULTS, connect_deadline=0.1), ME)
        slot.add_output(EDGE, 0, [0], max_parallelism=128)
        address = SlotAddress("false", *server.sockets[0].getsockname())
        with pytest.raises((ProtocolError, ConnectionError)):
            await slot.connect({(h.TARGET, 0): address})
        await slot.close()
        server.close()
        await server.wait_closed()

    run(scenario())
    for said in heard:
        assert len(said) == frames.HEADER_SIZE + frames.HEADER.unpack_from(said)[0]


@settings(max_examples=25)
@given(st.lists(st.binary(min_size=1, max_size=2000), min_size=1, max_size=5))
def test_a_strangers_bytes_close_its_connection_and_nothing_else(
    run: Run, talks: list[bytes]
) -> None:
    async def scenario() -> None:
        patience = replace(h.DEFAULTS, handshake_deadline=0.03)
        async with listening(patience) as (slot, address):
            await asyncio.gather(*(say(address, data) for data in talks))
            assert not slot.failed.done()
            await connect_as(replace(ME, slot="left"), address)

    run(scenario())


@pytest.mark.parametrize("sent", [b"", greeting()[:7], greeting()[:-1]])
def test_a_peer_that_does_not_finish_its_greeting_is_closed_after_the_deadline(
    run: Run, sent: bytes
) -> None:
    async def scenario() -> None:
        async with listening(replace(h.DEFAULTS, handshake_deadline=0.05)) as (slot, address):
            assert await say(address, sent) == b""
            assert not slot.failed.done()

    run(scenario())


def test_many_strangers_do_not_keep_a_peer_out(run: Run) -> None:
    async def scenario() -> None:
        async with listening(replace(h.DEFAULTS, max_strangers=4)) as (slot, address):
            strangers = [await asyncio.open_connection(*address) for _ in range(20)]
            await connect_as(replace(ME, slot="left"), address)
            assert len(slot._strangers) <= 4
            assert len(slot._incoming) <= 5
            for _, writer in strangers:
                writer.close()

    run(scenario())


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"\xff" * 50, "unexpected frame"),
        (frames.watermark(0, 1), "never opened"),
        (frames.header(10, frames.BATCH, 0, 0, 5) + b"x" * 10, "never opened"),
        (opening() + opening(), "opened twice"),
        (frames.open_channel(1, frames.Open(0, 0, 0, b"")), "0 comes next"),
        (frames.open_channel(0, frames.Open(9, 0, 0, b"")), "no channel for edge 9"),
        (frames.open_channel(0, frames.Open(0, 0, 0, b"?")), "unreadable"),
        (opening() + frames.header(1 << 20, frames.BATCH, 0, 0, 0) * 2, None),
        (opening() + frames.end(0) + frames.end(0), "after its end"),
        (opening() + frames.header(300_000_000, frames.BATCH, 0, 0, 0), "are allowed"),
        (opening()[:-3], "was lost"),
        (opening(), "was lost"),
    ],
)
def test_what_an_authenticated_peer_does_wrong_fails_the_attempt_by_its_name(
    run: Run, sent: bytes, reason: str | None
) -> None:
    async def scenario() -> None:
        async with listening() as (slot, address):
            _, writer = await authenticated(address)
            writer.write(sent)
            writer.close()
            async with asyncio.timeout(5):
                error = await asyncio.shield(slot.failed)
            assert "slot left" in str(error)
            assert isinstance(error, ProtocolError | ConnectionError)
            if reason is not None:
                assert reason in str(error)

    run(scenario())


def test_an_unreadable_batch_fails_the_attempt_when_it_is_polled(run: Run) -> None:
    async def scenario() -> None:
        async with listening() as (slot, address):
            _, writer = await authenticated(address)
            body = b"not arrow at all"
            writer.write(opening())
            writer.write(frames.header(len(body), frames.BATCH, 0, 0, 0) + body)
            gate = slot.gates[h.TARGET, 0]
            await gate.wait(None)
            with pytest.raises(ProtocolError, match="unreadable batch"):
                gate.poll()
            assert "from slot left" in str(slot.failed.result())
            writer.close()

    run(scenario())


def test_a_frame_beyond_its_credit_fails_the_attempt(run: Run) -> None:
    async def scenario() -> None:
        settings = replace(h.DEFAULTS, exclusive_bytes=16 * 1024)
        async with listening(settings) as (slot, address):
            _, writer = await authenticated(address)
            writer.write(opening())
            frame = frames.header(10_000, frames.BATCH, 0, 0, 0) + bytes(10_000)
            writer.write(frame * 2)
            async with asyncio.timeout(5):
                assert "without credit" in str(await asyncio.shield(slot.failed))
            writer.close()

    run(scenario())


def test_a_slot_that_is_not_there_is_named(run: Run) -> None:
    async def scenario() -> None:
        settings = replace(h.DEFAULTS, connect_deadline=0.1)
        slot = SlotExchange(h.env(), settings, ME)
        slot.add_output(EDGE, 0, [0], max_parallelism=128)
        with pytest.raises(ConnectionError, match=r"slot far at 127.0.0.1:1 can't be reached"):
            await slot.connect({(h.TARGET, 0): SlotAddress("far", "127.0.0.1", 1)})
        await slot.close()

    run(scenario())


def test_a_listener_that_never_answers_is_named(run: Run) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        settings = replace(h.DEFAULTS, connect_deadline=0.1)
        slot = SlotExchange(h.env(), settings, ME)
        slot.add_output(EDGE, 0, [0], max_parallelism=128)
        address = server.sockets[0].getsockname()
        with pytest.raises(ConnectionError, match="no answer to the handshake"):
            await slot.connect({(h.TARGET, 0): SlotAddress("mute", *address)})
        await slot.close()
        server.close()
        await server.wait_closed()

    run(scenario())


@pytest.mark.parametrize("dies", ["left", "right"])
def test_the_death_of_a_peer_is_reported_with_its_name(run: Run, dies: str) -> None:
    async def scenario() -> None:
        async with h.cluster([EDGE], h.one_to_one()) as c:
            c.writers[0, 0].write(h.numbers(1))
            await h.read(c.gates[0], 1)
            await c.slots[dies].close()
            survivor = c.slots["left" if dies == "right" else "right"]
            async with asyncio.timeout(5):
                error = await asyncio.shield(survivor.failed)
            assert isinstance(error, ConnectionError)
            assert f"slot {dies}" in str(error)

    run(scenario())


def test_a_connection_that_has_done_its_work_closes_without_a_failure(run: Run) -> None:
    async def scenario() -> None:
        async with h.cluster([EDGE], h.one_to_one()) as c:
            c.writers[0, 0].write(h.numbers(1))
            c.writers[0, 0].control(END_OF_INPUT)
            await c.slots["left"].drain()
            await c.slots["left"].close()
            await h.read_to_end(c.gates[0])
            assert not c.slots["right"].failed.done()

    run(scenario())
