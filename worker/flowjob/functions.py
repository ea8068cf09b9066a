"""Functions that see rows, time and state: what `.process(…)` takes.

A user subclasses one of these with its row types (`fj.KeyedProcess[Payment, Alert]`) and overrides callbacks. The
operators that call them are in runtime/operators/; this module must not import the runtime."""

from __future__ import annotations

import inspect
import logging
import sys
import typing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ForwardRef, Generic, Protocol, TypeVar, overload

from flowjob.errors import PlanError, TypeMismatch
from flowjob.state import MapState, declared_states

if TYPE_CHECKING:
    from flowjob.plan.types import StreamType

In = TypeVar("In")
First = TypeVar("First")
Second = TypeVar("Second")
Rule = TypeVar("Rule")
Out = TypeVar("Out")
S = TypeVar("S")


@dataclass(frozen=True)
class SideOutput(Generic[S]):
    """A second output of a function. `type` is a Schema class, or anything else for a stream of objects."""

    name: str
    type: Any


@overload
def side_output(name: str, type: type[S]) -> SideOutput[S]: ...
@overload
def side_output(name: str, type: Any = None) -> SideOutput[Any]: ...
def side_output(name: str, type: Any = None) -> SideOutput[Any]:
    """Declares a side output as a class attribute; fill it with `ctx.emit_to(self.attribute, value)` and read it
    with `stream.side(Function.attribute)`."""
    if not name or name.startswith("__"):
        raise PlanError(f"not a name for a side output: {name!r}")
    return SideOutput(name, type)


class Context(Protocol):
    """What a callback may ask and do. Only valid while the callback runs.

    Times are datetimes in UTC; a naive datetime is read as UTC."""

    def emit(self, value: Any) -> None:
        """Gives a row to the main output, with the timestamp of the current row or timer.

        Where that row has none (rules beside timed payments), it gets the latest event time seen, but none that would
        be late; before any event, 1970-01-01."""

    def emit_to(self, side: SideOutput[Any] | str, value: Any) -> None:
        """Gives a row to a side output."""

    def set_timer(self, at: datetime) -> None:
        """Calls on_timer for this key when event time reaches `at`: once, however often it is set."""

    def delete_timer(self, at: datetime) -> None:
        """Undoes set_timer; nothing happens when there is none at `at`."""

    def set_processing_timer(self, at: datetime) -> None:
        """Calls on_processing_timer for this key when the wall clock reaches `at`."""

    def delete_processing_timer(self, at: datetime) -> None:
        """Undoes set_processing_timer; nothing happens when there is none at `at`."""

    @property
    def key(self) -> Any:
        """The current key: a value, or a tuple for a key of several columns."""

    @property
    def timestamp(self) -> datetime | None:
        """Event time of the current row or timer; None for a row of a stream without event time."""

    @property
    def watermark(self) -> datetime | None:
        """How far event time has come; None before the first watermark."""

    @property
    def now(self) -> datetime:
        """The wall clock, injected: a test or simulation sets it. Read once for some rows at a time."""

    @property
    def subtask(self) -> int:
        """Which of the operator's parallel instances this is, from 0."""

    @property
    def parallelism(self) -> int:
        """How many there are."""

    @property
    def logger(self) -> logging.Logger:
        """A logger named after the operator."""


class RowFunction:
    """Base of all of them. The object given to `process` is copied for each subtask; these surround its work."""

    def open(self, ctx: Context) -> None:
        """Before the first row: load models, open connections. There is no key and nothing can be emitted."""

    def close(self) -> None:
        """At the end, also after a failure."""


class Process(RowFunction, Generic[In, Out]):
    """Any number of rows out for each row in; side outputs; no key, hence no state and no timers."""

    def on_row(self, row: In, ctx: Context) -> None:
        """Called for each row, in order."""
        raise NotImplementedError


class _Timed(RowFunction):
    """Callbacks for timers; the state of the timer's key is bound while they run."""

    def on_timer(self, at: datetime, ctx: Context) -> None:
        """Event time has reached a timer of this key."""
        raise NotImplementedError(f"{type(self).__name__} sets timers but has no on_timer")

    def on_processing_timer(self, at: datetime, ctx: Context) -> None:
        """The wall clock has reached a timer of this key; the same as on_timer unless overridden."""
        self.on_timer(at, ctx)


class KeyedProcess(_Timed, Generic[In, Out]):
    """Rows of one key see that key's state and timers."""

    def on_row(self, row: In, ctx: Context) -> None:
        """Called for each row, in order per key."""
        raise NotImplementedError


class KeyedCoProcess(_Timed, Generic[First, Second, Out]):
    """Two keyed streams that share state and timers: `first.key_by(…).connect(second.key_by(…)).process(…)`."""

    def on_first(self, row: First, ctx: Context) -> None:
        """Called for each row of the first stream."""
        raise NotImplementedError

    def on_second(self, row: Second, ctx: Context) -> None:
        """Called for each row of the second stream."""
        raise NotImplementedError


class CoProcess(RowFunction, Generic[First, Second, Out]):
    """Two streams without keys in one function: `first.connect(second).process(…)`; no state and no timers."""

    def on_first(self, row: First, ctx: Context) -> None:
        """Called for each row of the first stream."""
        raise NotImplementedError

    def on_second(self, row: Second, ctx: Context) -> None:
        """Called for each row of the second stream."""
        raise NotImplementedError


class BroadcastProcess(_Timed, Generic[In, Rule, Out]):
    """A stream, keyed or not, and a broadcast one: `stream.connect(rules.broadcast()).process(…)`.

    Its map states are broadcast state: one dict per subtask, equal in all of them, which on_broadcast writes and
    every callback reads. Its other states, and timers, belong to the current key and need a keyed stream."""

    def on_row(self, row: In, ctx: Context) -> None:
        """Called for each row of the stream; broadcast state can only be read."""
        raise NotImplementedError

    def on_broadcast(self, rule: Rule, ctx: Context) -> None:
        """Called in every subtask for each row of the broadcast stream, without a key. Must do the same in all."""
        raise NotImplementedError


_CALLBACKS: dict[type[Any], tuple[str, ...]] = {
    Process: ("on_row",),
    KeyedProcess: ("on_row",),
    KeyedCoProcess: ("on_first", "on_second"),
    CoProcess: ("on_first", "on_second"),
    BroadcastProcess: ("on_row", "on_broadcast"),
}


def check_kind(
    function: object, kind: type[Any], *, keyed: bool | None = None, where: str | None = None
) -> None:
    """PlanError unless `function` is an instance of `kind` with its callbacks, and declares only state it can have.

    `keyed`: whether there is a key; None: as the kind implies."""
    keyed = kind in (KeyedProcess, KeyedCoProcess) if keyed is None else keyed
    if isinstance(function, type) and issubclass(function, RowFunction):
        raise TypeMismatch(f"process takes an instance: write `{function.__name__}()`", where=where)
    if not isinstance(function, kind):
        raise TypeMismatch(
            f"process takes an fj.{kind.__name__} here, got {_described(function)}{_advice(function)}",
            where=where,
        )
    name = type(function).__name__
    for callback in _CALLBACKS[kind]:
        if getattr(type(function), callback) is getattr(kind, callback):
            raise TypeMismatch(f"{name} must override `{callback}`", where=where)
        if inspect.isgeneratorfunction(getattr(type(function), callback)):
            raise TypeMismatch(
                f"`{name}.{callback}` has a `yield`; a callback gives rows with `ctx.emit(row)`",
                where=where,
            )
    for state, declaration in declared_states(function).items():
        shared = kind is BroadcastProcess and isinstance(declaration, MapState)
        if shared and declaration.ttl is not None:
            raise PlanError(
                f"state `{state}` of {name} is broadcast state and cannot have a ttl: clocks differ between subtasks, "
                "and so would their copies",
                where=where,
            )
        if not keyed and not shared:
            raise PlanError(
                f"state `{state}` of {name} needs a key: {_KEY_ADVICE[kind]}", where=where
            )


def check_connected(
    function: object, *, keyed: bool, broadcast: bool, where: str | None = None
) -> None:
    """The same for a function over two streams: keyed (the first one), and the second broadcast or not."""
    kind: type[Any] = BroadcastProcess if broadcast else KeyedCoProcess if keyed else CoProcess
    check_kind(function, kind, keyed=keyed, where=where)


_KEY_ADVICE: dict[type[Any], str] = {
    Process: "use key_by(…) before process and make it an fj.KeyedProcess",
    CoProcess: "use key_by(…) on both streams before connect and make it an fj.KeyedCoProcess",
    BroadcastProcess: "use key_by(…) before connect (only map states are broadcast and need none)",
}


def _described(function: object) -> str:
    kinds = [k.__name__ for k in _CALLBACKS if isinstance(function, k)]
    return f"fj.{kinds[0]} `{type(function).__name__}`" if kinds else repr(function)


def _advice(function: object) -> str:
    if isinstance(function, KeyedProcess):
        return "; call key_by(…) before process"
    if isinstance(function, Process):
        return "; on a keyed stream make it an fj.KeyedProcess"
    if isinstance(function, KeyedCoProcess | CoProcess | BroadcastProcess):
        return (
            "; it sees two streams: `first.connect(second)`, both keyed for an fj.KeyedCoProcess, both not for an "
            "fj.CoProcess, `second.broadcast()` for an fj.BroadcastProcess"
        )
    if callable(function):
        return "; a plain function goes to map, flat_map or filter"
    return ""


def output_type(function: object, returns: Any = None) -> Any:
    """The declared type of the main output: `returns`, else the last generic parameter; None when undeclared."""
    if returns is not None:
        return returns
    for kind in _CALLBACKS:
        if isinstance(function, kind):
            arguments = type_arguments(type(function), kind)
            return arguments[-1] if arguments else None
    return None


def type_arguments(cls: type[Any], base: type[Any]) -> tuple[Any, ...]:
    """What `cls` gives for the type parameters of its generic base, through subclasses; () when it gives none.

    A parameter left open, or named by a string that its module does not know, is None."""
    return tuple(_resolved(a, cls) for a in _raw_arguments(cls, base))


def _raw_arguments(cls: type[Any], base: type[Any]) -> tuple[Any, ...]:
    for written in vars(cls).get("__orig_bases__", cls.__bases__):
        origin = typing.get_origin(written) or written
        if origin is base:
            return typing.get_args(written)
        if isinstance(origin, type) and issubclass(origin, base):
            names = dict(zip(getattr(origin, "__parameters__", ()), typing.get_args(written)))
            return tuple(names.get(a, a) for a in _raw_arguments(origin, base))
    return ()


def _resolved(argument: Any, cls: type[Any]) -> Any:
    if isinstance(argument, TypeVar):
        return None
    if isinstance(argument, ForwardRef):
        return vars(sys.modules[cls.__module__]).get(argument.__forward_arg__)
    return argument


def side_outputs(function: object) -> tuple[SideOutput[Any], ...]:
    """The side outputs a function declares as class attributes; PlanError when two have one name."""
    owner = function if isinstance(function, type) else type(function)
    found: dict[str, SideOutput[Any]] = {}
    for base in reversed(owner.__mro__):
        for attribute in vars(base).values():
            if isinstance(attribute, SideOutput):
                if found.get(attribute.name, attribute) is not attribute:
                    raise PlanError(
                        f"{owner.__name__} declares side output `{attribute.name}` twice"
                    )
                found[attribute.name] = attribute
    return tuple(found.values())


def side_types(function: object) -> tuple[tuple[str, StreamType], ...]:
    """Name and stream type of each side output."""
    from flowjob.plan.building import row_type

    return tuple((s.name, row_type(s.type)) for s in side_outputs(function))
