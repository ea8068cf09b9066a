"""Lines of a worker process, and which task has said them."""

from __future__ import annotations

import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.runtime.real.marking_output import MarkingHandler, MarkingStream
from flowjob.runtime.speaking import SPEAKER, Mark, marked, unmarked

LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=30)
MARKS = st.builds(
    Mark,
    st.integers(-1, 999),
    st.integers(-1, 999),
    st.sampled_from(["", "INFO", "ERROR"]),
    st.just("a.b"),
)


@given(st.lists(st.tuples(LINES, st.none() | MARKS), max_size=8))
def test_a_mark_comes_off_as_it_was_put_on(said: list[tuple[str, Mark | None]]) -> None:
    travelling = [text if mark is None else marked(text, mark) for text, mark in said]
    plain = [text for text, mark in said if mark is None and text.startswith("\x1e")]
    if plain:
        return  # who prints marks of their own is believed
    texts, marks = unmarked(travelling)
    assert texts == [text for text, _ in said]
    assert (marks or [None] * len(said)) == [mark for _, mark in said]


@pytest.mark.parametrize(
    "text", ["\x1e", "\x1e1.2", "\x1e1.2.LOUD.x\x1fy", "\x1e99999999999.1..\x1fy"]
)
def test_what_only_looks_like_a_mark_is_a_line(text: str) -> None:
    assert unmarked([text]) == ([text], [None])


def test_each_line_is_written_whole_with_the_task_that_said_it() -> None:
    real = io.StringIO()
    stream = MarkingStream(real)
    print("of nobody", file=stream)
    token = SPEAKER.set((1, 0))
    print("a", "b", file=stream, end="")
    SPEAKER.set((1, 1))
    print("two\nlines", file=stream)
    SPEAKER.set((1, 0))
    print("!", file=stream)
    stream.write("never ended")
    SPEAKER.reset(token)
    assert "never ended" not in real.getvalue()
    stream.finish()
    texts, marks = unmarked(real.getvalue().rstrip("\n").split("\n"))
    assert texts == ["of nobody", "two", "lines", "a b!", "never ended"]
    assert marks == [None, Mark(1, 1), Mark(1, 1), Mark(1, 0), Mark(1, 0)]


def test_a_record_that_nobody_else_handles_keeps_its_level_and_logger() -> None:
    real = io.StringIO()
    handler = MarkingHandler(real)
    token = SPEAKER.set((2, 5))
    handler.handle(
        logging.LogRecord("shop.prices", logging.WARNING, "f", 1, "odd: %s\nagain", ("x",), None)
    )
    SPEAKER.reset(token)
    texts, marks = unmarked(real.getvalue().rstrip("\n").split("\n"))
    assert texts == ["odd: x", "again"]
    assert marks == [Mark(2, 5, "WARNING", "shop.prices")] * 2
