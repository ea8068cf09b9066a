"""Job arguments: typed, with defaults, and refused with the whole list of what is wrong."""

from __future__ import annotations

import contextlib
from dataclasses import field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.args import Args, parse, parse_duration
from flowjob.errors import BadArguments, PlanError


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Everything(Args):
    count: int = 0
    ratio: float = 0.0
    on: bool = False
    name: str = ""
    price: Decimal = Decimal(0)
    at: datetime | None = None
    day: date | None = None
    every: timedelta = timedelta(0)
    where: Path = Path()
    names: list[str] = field(default_factory=list)
    mode: Literal["fast", "safe"] = "fast"
    colour: Colour = Colour.RED


class Flights(Args):
    source: str
    hours: int = 1


def test_fields_are_read_by_type() -> None:
    assert parse(Flights, {"source": "data/*.csv", "hours": "3"}) == Flights(
        source="data/*.csv", hours=3
    )


def test_what_is_not_given_has_its_default() -> None:
    assert parse(Flights, {"source": "x"}).hours == 1


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("count", "-17", -17),
        ("count", "1_000", 1000),
        ("ratio", "0.5", 0.5),
        ("on", "yes", True),
        ("on", "False", False),
        ("name", "", ""),
        ("price", "1.10", Decimal("1.10")),
        ("at", "2013-01-31T18:00:00Z", datetime(2013, 1, 31, 18, tzinfo=UTC)),
        ("at", "2013-01-31", datetime(2013, 1, 31, tzinfo=UTC)),
        ("at", "none", None),
        ("day", "2013-01-31", date(2013, 1, 31)),
        ("every", "1h30m", timedelta(hours=1, minutes=30)),
        ("where", "a/b", Path("a/b")),
        ("names", "a, b,c", ["a", "b", "c"]),
        ("names", "", []),
        ("mode", "safe", "safe"),
        ("colour", "blue", Colour.BLUE),
        ("colour", "BLUE", Colour.BLUE),
    ],
)
def test_each_type_is_read_from_its_text(field: str, text: str, value: Any) -> None:
    assert getattr(parse(Everything, {field: text}), field) == value


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("count", "1.5", "`1.5` is not a whole number"),
        ("ratio", "x", "`x` is not a number"),
        ("on", "maybe", "`maybe` is not true or false"),
        ("at", "tomorrow", "`tomorrow` is not a time"),
        ("day", "31.1.2013", "is not a date; write it as `2013-01-31`"),
        ("every", "5 parsecs", "`5 parsecs` is not a duration"),
        ("mode", "fats", "`fats` is none of fast, safe; did you mean `fast`?"),
        ("colour", "green", "`green` is none of"),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_be_right(
    field: str, text: str, said: str
) -> None:
    with pytest.raises(BadArguments) as caught:
        parse(Everything, {field: text})
    assert f"`{field}`" in str(caught.value)
    assert said in str(caught.value)


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(BadArguments) as caught:
        parse(Flights, {"hour": "1", "hours": "x"})
    message = str(caught.value)
    assert "`source` (str) is missing" in message
    assert "`hour` is unknown; did you mean `hours`?" in message
    assert "`hours`: `x` is not a whole number" in message
    assert "The job takes: source: str, hours: int = 1" in message


def test_a_field_that_text_cannot_give_is_refused_with_the_types_that_it_can() -> None:
    class Odd(Args):
        function: dict[str, int]

    with pytest.raises(PlanError, match="cannot be read from text"):
        parse(Odd, {"function": "x"})


def test_instances_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Flights(source="x").hours = 2  # type: ignore[misc]


def test_required_fields_may_follow_optional_ones() -> None:
    class Mixed(Args):
        first: int = 1
        second: str

    assert parse(Mixed, {"second": "b"}) == Mixed(first=1, second="b")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("250ms", 0.25),
        ("1w1d", 691200),
        ("-5m", -300),
        ("PT1H30M", 5400),
        ("P1D", 86400),
    ],
)
def test_durations_are_short_or_iso(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "P", "PT", "h", "1", "1x", "s1", "--5s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=12), max_size=4))
def test_any_text_gives_an_instance_or_bad_arguments(texts: dict[str, str]) -> None:
    with contextlib.suppress(BadArguments):
        assert isinstance(parse(Flights, texts), Flights)
