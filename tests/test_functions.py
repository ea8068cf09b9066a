"""Function classes: what they declare, and what is refused while the program is planned."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

import flowjob.functions as functions
from flowjob.errors import PlanError, StateError, TypeMismatch
from flowjob.functions import (
    BroadcastProcess,
    Context,
    CoProcess,
    KeyedCoProcess,
    KeyedProcess,
    Process,
    check_connected,
    check_kind,
    output_type,
    side_output,
    side_outputs,
    type_arguments,
)
from flowjob.state import map_state, value_state

T = TypeVar("T")


class Counts(KeyedProcess[int, str]):
    seen = value_state(int, default=0)
    log = side_output("log", str)

    def on_row(self, row: int, ctx: Context) -> None: ...


class Plain(Process[int, str]):
    def on_row(self, row: int, ctx: Context) -> None: ...


def test_the_output_type_is_the_last_type_parameter_or_returns() -> None:
    assert output_type(Counts()) is str
    assert output_type(Counts(), float) is float

    class Untyped(KeyedProcess):  # type: ignore[type-arg]
        pass

    assert output_type(Untyped()) is None


def test_type_parameters_are_found_through_subclasses() -> None:
    class Generic(KeyedProcess[T, list[T]]):
        pass

    class Narrow(Generic[int]):
        pass

    class Narrower(Narrow):
        pass

    assert type_arguments(Narrower, KeyedProcess)[0] is int
    assert output_type(Plain()) is str
    assert type_arguments(Generic, KeyedProcess)[0] is None


def test_a_type_named_by_a_string_is_looked_up_in_its_module() -> None:
    class Forward(KeyedProcess["int", "Counts"]):
        pass

    assert output_type(Forward()) is Counts


def test_side_outputs_are_found_by_declaration() -> None:
    assert side_outputs(Counts()) == (Counts.log,)

    class Twice(Counts):
        other = side_output("log", int)

    with pytest.raises(PlanError, match="side output `log` twice"):
        side_outputs(Twice())


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (Counts, KeyedProcess, r"write `Counts\(\)`"),
        (Counts(), Process, r"call key_by\(…\) before process"),
        (Plain(), KeyedProcess, r"make it an fj.KeyedProcess"),
        (len, KeyedProcess, r"a plain function goes to map"),
        (KeyedProcess(), KeyedProcess, r"must override `on_row`"),
        (BroadcastProcess(), KeyedProcess, r"it sees two streams"),
    ],
)
def test_a_function_in_the_wrong_place_is_refused_with_advice(
    function: Any, kind: type, message: str
) -> None:
    with pytest.raises(TypeMismatch, match=message):
        check_kind(function, kind)


def test_state_without_a_key_is_refused() -> None:
    class Stateful(Process[int, int]):
        seen = value_state(int)

        def on_row(self, row: int, ctx: Context) -> None: ...

    with pytest.raises(PlanError, match="state `seen` of Stateful needs a key"):
        check_kind(Stateful(), Process)
    check_kind(Counts(), KeyedProcess)


def test_connected_streams_ask_for_the_function_that_fits_them() -> None:
    class Keyed(KeyedCoProcess[int, int, int]):
        def on_first(self, row: int, ctx: Context) -> None: ...
        def on_second(self, row: int, ctx: Context) -> None: ...

    class Both(CoProcess[int, int, int]):
        def on_first(self, row: int, ctx: Context) -> None: ...
        def on_second(self, row: int, ctx: Context) -> None: ...

    check_connected(Keyed(), keyed=True, broadcast=False)
    check_connected(Both(), keyed=False, broadcast=False)
    with pytest.raises(TypeMismatch, match=r"an fj.CoProcess here, got fj.KeyedCoProcess"):
        check_connected(Keyed(), keyed=False, broadcast=False)


def test_only_map_states_are_broadcast() -> None:
    class Rules(BroadcastProcess[int, int, int]):
        rules = map_state(str, int)

        def on_row(self, row: int, ctx: Context) -> None: ...
        def on_broadcast(self, rule: int, ctx: Context) -> None: ...

    class Counting(Rules):
        seen = value_state(int)

    check_connected(Rules(), keyed=False, broadcast=True)
    check_connected(Counting(), keyed=True, broadcast=True)
    with pytest.raises(PlanError, match=r"state `seen` .*only map states are broadcast"):
        check_connected(Counting(), keyed=False, broadcast=True)


def test_broadcast_state_cannot_expire() -> None:
    from datetime import timedelta

    class Fading(BroadcastProcess[int, int, int]):
        rules = map_state(str, int, ttl=timedelta(hours=1))

        def on_row(self, row: int, ctx: Context) -> None: ...
        def on_broadcast(self, rule: int, ctx: Context) -> None: ...

    with pytest.raises(PlanError, match="cannot have a ttl"):
        check_connected(Fading(), keyed=True, broadcast=True)


def test_a_side_output_needs_a_name_of_its_own() -> None:
    with pytest.raises(PlanError):
        side_output("__hidden", str)


def test_state_outside_a_job_says_where_it_has_a_value() -> None:
    with pytest.raises(StateError, match="state `seen` of Counts was used outside a running job"):
        _ = Counts().seen.value
    assert functions.side_outputs(Plain()) == ()
