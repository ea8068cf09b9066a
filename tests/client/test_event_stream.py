"""Server-sent events, as the HTML standard has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.client.event_stream import ServerEvent, events


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["data: a", ""], [ServerEvent("a")]),
        (["data:a", "data: b", ""], [ServerEvent("a\nb")]),
        (["data:  a", ""], [ServerEvent(" a")]),
        (["event: x", "id: 7", "data: a", ""], [ServerEvent("a", "x", "7")]),
        (["id: 7", "data: a", "", "data: b", ""], [ServerEvent("a", id="7"), ServerEvent("b", id="7")]),
        (["event: x", ""], []),
        ([": beat", "", "data: a", ""], [ServerEvent("a")]),
        (["retry: 1500", "data: a", ""], [ServerEvent("a", retry=1.5)]),
        (["retry: soon", "data", ""], [ServerEvent("")]),
        (["unknown: x", "data: a", ""], [ServerEvent("a")]),
        (["id: a\0b", "data: a", ""], [ServerEvent("a")]),
        (["data: a"], []),
        ([], []),
    ],
)  # fmt: skip
def test_lines_become_events(lines: list[str], found: list[ServerEvent]) -> None:
    assert list(events(lines)) == found


WORDS = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))


@given(st.lists(st.tuples(WORDS.filter(bool), WORDS, WORDS), max_size=5))
def test_whatever_is_written_as_events_is_read_back(written: list[tuple[str, str, str]]) -> None:
    lines = [
        f"{name}: {value}"
        for kind, id, data in written
        for name, value in (("event", kind), ("id", id), ("data", data), ("", ""))
    ]
    lines = ["" if line == ": " else line for line in lines]
    found = [(event.kind, event.id, event.data) for event in events(lines)]
    assert found == written


@given(st.lists(st.text(max_size=20).map(lambda t: t.replace("\n", "").replace("\r", ""))))
def test_no_lines_can_break_it(lines: list[str]) -> None:
    assert all(isinstance(event, ServerEvent) for event in events(lines))
