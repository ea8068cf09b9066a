"""The frame codec: any cutting of the stream gives the same frames, and bad bytes cost an error, nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core import frames, greetings
from flowjob.core.elements import Barrier, Marker, Stop
from flowjob.errors import ProtocolError

LARGEST = 1 << 20
LIMITS = {**frames.from_producer(LARGEST), frames.CREDIT: frames.CREDIT_LIMIT}


class Allocator:
    """Counts what was asked for."""

    def __init__(self) -> None:
        self.total = 0

    def __call__(self, size: int) -> tuple[Any, memoryview]:
        self.total += size
        memory = bytearray(size)
        return memory, memoryview(memory)


def decode(data: bytes, pieces: list[int], decoder: frames.Decoder) -> list[tuple[Any, ...]]:
    """Feeds `data` in pieces no larger than asked and than the decoder's buffer allows."""
    got: list[tuple[Any, ...]] = []
    at, turn = 0, 0
    while at < len(data):
        buffer = decoder.get_buffer()
        assert len(buffer) > 0
        size = min(len(buffer), pieces[turn % len(pieces)], len(data) - at)
        buffer[:size] = data[at : at + size]
        at, turn = at + size, turn + 1
        for kind, flags, channel, length, body in decoder.feed(size):
            got.append((kind, flags, channel, bytes(body[:length])))
    return got


def batch(channel: int, body: bytes, flags: int = 0) -> bytes:
    return frames.header(len(body), frames.BATCH, flags, 0, channel) + body


channels = st.integers(0, 2**32 - 1)
barriers = st.builds(
    Barrier, st.integers(0, 2**64 - 1), st.booleans(), st.booleans(), st.sampled_from(Stop),
    st.text(st.characters(codec="utf-8"), max_size=60),
)  # fmt: skip
markers = st.builds(Marker, st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1))
any_frame = st.one_of(
    st.builds(
        lambda c, n, f: (batch(c, bytes([n % 251]) * n, f), (frames.BATCH, f, c, bytes([n % 251]) * n)),
        channels, st.sampled_from([0, 1, 100, 16383, 16384, 20000, 70000]), st.integers(0, 255),
    ),
    st.builds(
        lambda c, t: (frames.watermark(c, t), (frames.WATERMARK, 0, c, t.to_bytes(8, "little", signed=True))),
        channels, st.integers(-(2**63), 2**63 - 1),
    ),
    st.builds(lambda c: (frames.end(c), (frames.END, 0, c, b"")), channels),
    st.builds(
        lambda c, i: (frames.status(c, idle=i), (frames.STATUS, 0, c, bytes([i]))), channels, st.booleans()
    ),
    st.builds(
        lambda c, b: (frames.barrier(c, b), (frames.BARRIER, 0, c, frames.barrier(c, b)[frames.HEADER_SIZE:])),
        channels, barriers,
    ),
    st.builds(
        lambda c, m: (frames.marker(c, m), (frames.MARKER, 0, c, frames.marker(c, m)[frames.HEADER_SIZE:])),
        channels, markers,
    ),
)  # fmt: skip


@settings(max_examples=60)
@given(
    sent=st.lists(any_frame, max_size=12),
    pieces=st.lists(st.integers(1, 30_000), min_size=1, max_size=5),
)
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(
    sent: list[tuple[bytes, tuple[Any, ...]]], pieces: list[int]
) -> None:
    decoder = frames.Decoder(LIMITS, Allocator(), read_ahead=frames.DIRECT + frames.HEADER_SIZE)
    got = decode(b"".join(data for data, _ in sent), pieces, decoder)
    assert got == [frame for _, frame in sent]
    assert decoder.at_boundary()


@settings(max_examples=150)
@given(
    sent=st.lists(any_frame, min_size=1, max_size=6),
    flips=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=8),
    pieces=st.lists(st.integers(1, 5000), min_size=1, max_size=3),
)
def test_mutated_streams_give_frames_or_a_protocol_error_within_the_limits(
    sent: list[tuple[bytes, Any]], flips: list[tuple[int, int]], pieces: list[int]
) -> None:
    data = bytearray(b"".join(d for d, _ in sent))
    for at, value in flips:
        data[at % len(data)] = value
    allocate = Allocator()
    decoder = frames.Decoder(LIMITS, allocate, read_ahead=frames.DIRECT + frames.HEADER_SIZE)
    got: list[Any] = []
    try:
        got = decode(bytes(data), pieces, decoder)
    except ProtocolError:
        pass
    complete = sum(len(body) for kind, _, _, body in got if kind == frames.BATCH)
    assert allocate.total <= max(complete, len(data)) + LARGEST + frames.HEADER_SIZE * len(sent)


@settings(max_examples=150)
@given(st.binary(max_size=300))
def test_a_strangers_bytes_are_refused_without_any_allocation(data: bytes) -> None:
    allocate = Allocator()
    decoder = frames.Decoder(frames.FROM_STRANGER, allocate)
    try:
        got = decode(data, [64], decoder)
    except ProtocolError:
        got = []
    for _, _, _, body in got:
        with pytest.raises(ProtocolError):
            greetings.parse_hello(body)
    assert allocate.total == 0


def test_a_frame_over_its_limit_is_refused_by_its_header_alone() -> None:
    allocate = Allocator()
    decoder = frames.Decoder(LIMITS, allocate)
    with pytest.raises(ProtocolError, match="BATCH of 1,048,577 bytes"):
        decode(frames.header(LARGEST + 1, frames.BATCH, 0, 0, 0), [100], decoder)
    assert allocate.total == 0


def test_a_batch_that_is_not_admitted_gets_no_memory() -> None:
    def admit(channel: int, size: int) -> None:
        raise ProtocolError(f"no credit for {size} on {channel}")

    allocate = Allocator()
    decoder = frames.Decoder(LIMITS, allocate, admit=admit)
    with pytest.raises(ProtocolError, match="no credit for 500000 on 3"):
        decode(frames.header(500_000, frames.BATCH, 0, 0, 3), [100], decoder)
    assert allocate.total == 0


def test_a_batch_is_admitted_once() -> None:
    asked: list[tuple[int, int]] = []
    decoder = frames.Decoder(LIMITS, Allocator(), admit=lambda c, n: asked.append((c, n)))
    decode(batch(1, b"x" * 100) + batch(2, b"y" * 50_000), [7], decoder)
    assert asked == [(1, 100), (2, 50_000)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "unexpected frame"),
        (frames.header(0, 14, 0, 0, 0), "unexpected frame type 14"),
        (frames.header(1025, frames.BARRIER, 0, 0, 0), "BARRIER of 1,025 bytes; at most 1,024"),
        (frames.header(0, frames.END, 0, 1, 0), "reserved bits"),
        (frames.header(65, frames.WATERMARK, 0, 0, 0), "at most 64"),
    ],
)
def test_what_is_not_spoken_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        decode(data, [100], frames.Decoder(LIMITS, Allocator()))


def test_limits_may_change_between_two_frames_of_one_piece() -> None:
    decoder = frames.Decoder(frames.FROM_LISTENER, Allocator())
    data = greetings.challenge(bytes(32), bytes(32)) + frames.credit([(1, 0, 100)])
    decoder.get_buffer()[: len(data)] = data
    kinds = []
    for kind, *_ in decoder.feed(len(data)):
        kinds.append(kind)
        decoder.accept(frames.FROM_CONSUMER, None, read_ahead=1 << 16)
    assert kinds == [frames.CHALLENGE, frames.CREDIT]


def test_a_control_frame_larger_than_the_read_ahead_buffer_is_received_whole() -> None:
    message = frames.Open(1, 2, 3, b"s" * 50_000)
    decoder = frames.Decoder(LIMITS, Allocator())
    ((kind, _, channel, body),) = decode(frames.open_channel(7, message), [4000], decoder)
    assert (kind, channel, frames.parse_open(body)) == (frames.OPEN, 7, message)


texts = st.text(max_size=40)


nonces = st.binary(min_size=32, max_size=32)


@given(
    st.builds(
        greetings.Hello, st.integers(0, 2**16 - 1), nonces, st.integers(0, 2**32 - 1), texts, texts, texts
    )
)  # fmt: skip
def test_hello_keeps_its_fields(message: greetings.Hello) -> None:
    assert (
        greetings.hello_version(greetings.hello(message)[frames.HEADER_SIZE :]) == message.version
    )
    assert greetings.parse_hello(greetings.hello(message)[frames.HEADER_SIZE :]) == message


@settings(max_examples=100)
@given(st.binary(max_size=80), st.booleans())
def test_parsers_of_bodies_raise_nothing_but_protocol_errors(body: bytes, marked: bool) -> None:
    if marked:
        body = greetings.MAGIC + body
    for parse in (
        greetings.parse_hello, frames.parse_open, frames.parse_watermark, frames.parse_barrier,
        frames.parse_marker,
        frames.parse_status, frames.parse_credit, frames.parse_refused, greetings.parse_challenge,
        greetings.parse_proof, greetings.hello_version,
    ):  # fmt: skip
        try:
            parse(body)
        except ProtocolError:
            pass


def test_credit_for_many_channels_is_one_frame() -> None:
    grants = [(1, 10, 20), (2**32 - 1, 0, 2**32 - 1)]
    assert frames.parse_credit(frames.credit(grants)[frames.HEADER_SIZE :]) == grants


@given(barriers)
def test_a_barrier_keeps_its_fields(barrier: Barrier) -> None:
    assert frames.parse_barrier(frames.barrier(0, barrier)[frames.HEADER_SIZE :]) == barrier


@given(markers)
def test_a_marker_keeps_its_fields(marker: Marker) -> None:
    assert frames.parse_marker(frames.marker(0, marker)[frames.HEADER_SIZE :]) == marker


@pytest.mark.parametrize("size", [0, 11, 13])
def test_a_marker_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ProtocolError, match=f"MARKER has {size} bytes instead of 12"):
        frames.parse_marker(bytes(size))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x01" * 9, "too short"),
        (bytes(8) + b"\x04\x00", "unknown flags 0x04"),
        (bytes(8) + b"\x00\x03", "stop 3"),
        (bytes(10) + b"\xff", "not UTF-8"),
    ],
)
def test_a_malformed_barrier_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        frames.parse_barrier(body)


def test_a_directory_that_no_barrier_can_name_is_refused_where_it_is_sent() -> None:
    with pytest.raises(ProtocolError, match="use a shorter one"):
        frames.barrier(0, Barrier(1, directory="d" * 1015))
