"""ConnectedStreams: two streams with different rows in one function that shares state between them.

Building is pure, as for streams: it checks what fits together and adds one node to the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from flowjob.errors import PlanError, TypeMismatch
from flowjob.plan import building
from flowjob.plan.job_graph import Exchange
from flowjob.plan.logical import Input
from flowjob.plan.specs import ConnectedProcessSpec
from flowjob.plan.types import KeyField
from flowjob.plan.where import caller
from flowjob.stream import Stream

if TYPE_CHECKING:
    from flowjob.functions import BroadcastProcess, CoProcess, KeyedCoProcess
    from flowjob.keyed_stream import KeyedStream

R = TypeVar("R")


class ConnectedStreams:
    """Made by `.connect(…)`: two keyed streams with keys of one type, or a stream and `other.broadcast()`."""

    def __init__(
        self, first: Stream[Any], keys: tuple[KeyField, ...], second: Stream[Any] | KeyedStream[Any]
    ) -> None:
        from flowjob.keyed_stream import KeyedStream

        self._first = first
        self._keys = keys
        self._second_keys: tuple[KeyField, ...] = ()
        if isinstance(second, KeyedStream):
            self._second = second._stream
            self._second_keys = second.fields
        elif isinstance(second, Stream):
            self._second = second
        else:
            raise TypeMismatch(f"connect takes a stream, got {second!r}", where=caller())
        self._broadcast = _is_broadcast(self._second)
        self._check()

    def _check(self) -> None:
        if self._first._builder is not self._second._builder:
            raise PlanError("connect of streams of different jobs", where=caller())
        if self._broadcast:
            return
        if bool(self._keys) != bool(self._second_keys):
            raise PlanError(
                "connect needs both streams keyed, or the second one broadcast: add `.key_by(…)` to the other stream, "
                "or connect to `other.broadcast()`",
                where=caller(),
            )
        if [k.type for k in self._keys] != [k.type for k in self._second_keys]:
            raise PlanError(
                "connected streams must be keyed by the same types, got "
                f"({', '.join(f'{k.name}: {k.type}' for k in self._keys)}) and "
                f"({', '.join(f'{k.name}: {k.type}' for k in self._second_keys)})",
                where=caller(),
            )

    def process(
        self,
        function: KeyedCoProcess[Any, Any, R]
        | CoProcess[Any, Any, R]
        | BroadcastProcess[Any, Any, R],
        *,
        returns: type[R] | Any = None,
    ) -> Stream[R]:
        """A `KeyedCoProcess` function over two keyed streams, a `CoProcess` over two without keys, or a
        `BroadcastProcess` over a stream and rules."""
        from flowjob import functions
        from flowjob.keyed_stream import hashed

        self._first._append_only("process")
        self._second._append_only("process")
        functions.check_connected(
            function, keyed=bool(self._keys), broadcast=self._broadcast, where=caller()
        )
        sides = functions.side_types(function)
        timed = self._first._timed and (self._broadcast or self._second._timed)
        spec = ConnectedProcessSpec(
            input=self._first._node.type_of(self._first._input.tag),
            second_input=self._second._node.type_of(self._second._input.tag),
            output=building.row_type(functions.output_type(function, returns)),
            keys=self._keys,
            second_keys=self._second_keys,
            broadcast=self._broadcast,
            function=function,
            side_types=sides,
            timed=timed,
        )
        inputs = (
            hashed(self._first, self._keys) if self._keys else self._first._input,
            hashed(self._second, self._second_keys) if self._second_keys else self._second._input,
        )
        builder = self._first._builder
        node = builder.add(
            spec,
            inputs,
            building.operator_name("process", function),
            sides=dict(sides),
            ports=(0, 1),
            event_time=timed,
        )
        return Stream(builder, Input(node.id))


def _is_broadcast(stream: Stream[Any]) -> bool:
    partitioning = stream._input.partitioning
    return partitioning is not None and partitioning.exchange is Exchange.BROADCAST
