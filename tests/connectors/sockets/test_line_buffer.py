"""Bytes in any pieces give the same lines, and a line that is too long costs no more memory than the bound."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.connectors.sockets import line_buffer
from flowjob.connectors.sockets.line_buffer import LineBuffer

TEXT = st.lists(st.sampled_from([b"\n", b"a", b"bc", b"\r\n", b"defgh", b"x" * 30]), max_size=30)


def drain(buffer: LineBuffer, rows: int = 1000) -> list[tuple[bytes, bool]]:
    found: list[tuple[bytes, bool]] = []
    while (lines := buffer.take(rows)) is not None:
        parts = lines.block.split(b"\n")[:-1]
        assert len(parts) <= rows
        assert lines.block.endswith(b"\n")
        assert not lines.too_long or len(parts) == 1
        found += [(p, lines.too_long) for p in parts]
    return found


@settings(max_examples=150)
@given(TEXT, st.data(), st.integers(1, 40), st.integers(1, 5))
def test_lines_do_not_depend_on_how_bytes_arrive(
    pieces: list[bytes], data: st.DataObject, longest: int, rows: int
) -> None:
    text = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    buffer = LineBuffer(longest)
    found: list[tuple[bytes, bool]] = []
    for start, stop in zip([0, *cuts], [*cuts, len(text)]):
        buffer.feed(text[start:stop])
        assert len(buffer.unfinished()) <= longest + 1
        if data.draw(st.booleans()):
            found += drain(buffer, rows)
    buffer.finish()
    found += drain(buffer, rows)
    expected = text.split(b"\n")
    expected = expected if expected[-1] else expected[:-1]
    assert [too_long for _, too_long in found] == [len(e) > longest for e in expected]
    for (line, too_long), whole in zip(found, expected, strict=True):
        assert whole.startswith(line) if too_long else line == whole


def test_a_block_is_bounded_unless_one_line_is_longer() -> None:
    buffer = LineBuffer(10 * line_buffer.BLOCK_BYTES)
    small, large = b"s" * 999 + b"\n", b"l" * 2 * line_buffer.BLOCK_BYTES + b"\n"
    buffer.feed(small * 1000 + large + small)
    blocks = []
    while (lines := buffer.take(10**9)) is not None:
        blocks.append(lines.block)
    assert b"".join(blocks) == small * 1000 + large + small
    assert large in blocks
    assert all(len(b) <= line_buffer.BLOCK_BYTES for b in blocks if b != large)


def test_a_line_without_end_is_kept_only_up_to_the_bound() -> None:
    buffer = LineBuffer(100)
    for _ in range(1000):
        buffer.feed(b"x" * 1000)
    assert len(buffer.unfinished()) == 101
    buffer.feed(b"yz\nnext\n")
    assert drain(buffer) == [(b"x" * 101, True), (b"next", False)]
