"""The operators of one subtask, wired as they were planned: a tree that batches walk down by reference.

A chain turns what comes in into a flow of *signals*: the points where its task must wait or may pause. Between two
signals everything is a plain function call. It must not know gates, tasks or the event loop; channels only as
`Outlet`s that may be blocked."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from typing import NoReturn, Protocol

from flowjob.core.elements import END_OF_INPUT, Barrier, Control, Marker, Status, Watermark
from flowjob.plan.job_graph import ChainNode
from flowjob.runtime.batch import Batch, Data, Rows
from flowjob.runtime.blame import EXITS, blame
from flowjob.runtime.checkpoint.sections import RestoredState
from flowjob.runtime.operators.base import (
    Form,
    Operator,
    OperatorContext,
    Output,
    Pause,
    Side,
)
from flowjob.runtime.rows import RowCodec


class Outlet(Protocol):
    """Where a chain's output leaves the slot (runtime/exchange/)."""

    @property
    def blocked(self) -> bool: ...

    def write(self, batch: Batch) -> None: ...

    def control(self, element: Control) -> None: ...

    def mark(self, marker: Marker) -> None: ...

    async def writable(self) -> None: ...


Signal = Pause | Awaitable[None] | Outlet
"""PAUSE: other work may run. An awaitable: await it. An outlet: wait until it is writable (back-pressure)."""


class Link:
    """One operator in its place: what it feeds inside the chain and outside, per output tag."""

    def __init__(self, node: ChainNode, operator: Operator, context: OperatorContext) -> None:
        self.node = node
        self.operator = operator
        self.context = context
        self.main: list[tuple[Link, int]] = []
        self.outlets: list[Outlet] = []
        self.sides: dict[str, tuple[list[tuple[Link, int]], list[Outlet]]] = {}
        self.codec_in = RowCodec(node.spec.input)
        self.codec_out = RowCodec(node.spec.output)
        self._side_codecs: dict[str, RowCodec] = {}

    def connect(self, links: Sequence[Link], outlets: Mapping[int, Outlet]) -> None:
        """Resolves the planned targets and edges of this operator."""
        for target in self.node.targets:
            feeds, _ = self._output(target.tag)
            feeds.append((links[target.node], target.port))
        for output in self.node.outputs:
            _, leaves = self._output(output.tag)
            leaves.append(outlets[output.edge])

    def _output(self, tag: str | None) -> tuple[list[tuple[Link, int]], list[Outlet]]:
        if tag is None:
            return self.main, self.outlets
        return self.sides.setdefault(tag, ([], []))

    def open(self) -> None:
        try:
            self.operator.open(self.context)
        except BaseException as error:  # noqa: BLE001 - raised again, see blame
            self.blame(error)

    async def close(self) -> None:
        try:
            await self.operator.close()
        except EXITS as error:
            self.blame(error)

    def blame(self, error: BaseException) -> NoReturn:
        """Raises it as this operator's, unless it is already another's."""
        blame(error, self.context, getattr(self.node.spec, "function", None))

    # -- data

    def process(self, data: Data, port: int) -> Iterator[Signal]:
        """Data into this operator, in the form it takes; then everything that follows from it."""
        operator = self.operator
        if isinstance(data, Rows):
            if operator.takes is Form.COLUMNS:
                data = to_columns(data, self.codec_in)
        elif operator.takes is Form.ROWS:
            data = to_rows(data, self.codec_in)
        self.context.metrics.rows_in += len(data)
        try:
            outputs = operator.process(data, port)
        except BaseException as error:  # noqa: BLE001 - raised again, see blame
            self.blame(error)
        yield from self.emit(outputs)

    def emit(self, outputs: Iterable[Output]) -> Iterator[Signal]:
        """Sends what the operator yields to where it goes. A failure is blamed on the operator nearest to it."""
        try:
            for output in outputs:
                if isinstance(output, Batch | Rows):
                    if len(output):
                        self.context.metrics.rows_out += len(output)
                        yield from self._send(output, self.main, self.outlets, self.codec_out)
                elif isinstance(output, Side):
                    if len(output.data) and output.tag in self.sides:
                        yield from self._send_side(output)
                elif isinstance(output, Watermark):
                    yield from self._forward_watermark(output.time)
                else:
                    yield output
        except BaseException as error:  # noqa: BLE001 - raised again, see blame
            self.blame(error)

    def _send(
        self, data: Data, feeds: list[tuple[Link, int]], outlets: list[Outlet], codec: RowCodec
    ) -> Iterator[Signal]:
        if outlets:
            batch = to_columns(data, codec) if isinstance(data, Rows) else data
            for outlet in outlets:
                outlet.write(batch)
                if outlet.blocked:
                    yield outlet
        for link, port in feeds:
            yield from link.process(data, port)

    def _send_side(self, side: Side) -> Iterator[Signal]:
        feeds, outlets = self.sides[side.tag]
        yield from self._send(side.data, feeds, outlets, self._side_codec(side.tag))

    def _side_codec(self, tag: str) -> RowCodec:
        codec = self._side_codecs.get(tag)
        if codec is None:
            types = dict(getattr(self.node.spec, "side_types", ()))
            codec = self._side_codecs[tag] = RowCodec(types.get(tag, self.node.spec.input))
        return codec

    # -- time

    def on_watermark(self, time: int) -> Iterator[Signal]:
        """Event time reaches this operator: what it still holds, what becomes due, then the watermark itself."""
        operator = self.operator
        yield from self.emit(operator.flush())
        yield from self.emit(operator.on_watermark(time))
        if not operator.makes_watermarks:
            yield from self._forward_watermark(time)

    def _forward_watermark(self, time: int) -> Iterator[Signal]:
        control = Watermark(time)
        for outlet in self.outlets:
            outlet.control(control)
        for link, _ in self.main:
            yield from link.on_watermark(time)
        for feeds, outlets in self.sides.values():
            for outlet in outlets:
                outlet.control(control)
            for link, _ in feeds:
                yield from link.on_watermark(time)

    def on_time(self, now: int) -> Iterator[Signal]:
        """Wall time has reached this operator's timer."""
        yield from self.emit(self.operator.on_time(now))

    def on_barrier(self, barrier: Barrier, *, forward: bool) -> Iterator[Signal]:
        """A barrier reaches this operator: what it holds back goes out before it, then it makes itself ready."""
        operator = self.operator
        yield from self.emit(operator.flush())
        yield from self.emit(operator.prepare(barrier))
        for feeds, outlets in ((self.main, self.outlets), *self.sides.values()):
            for outlet in outlets if forward else ():
                outlet.control(barrier)
            for link, _ in feeds:
                yield from link.on_barrier(barrier, forward=forward)

    def restore(self, state: RestoredState) -> None:
        """Hands the operator its state of an earlier run."""
        try:
            self.operator.restore(state)
        except BaseException as error:  # noqa: BLE001 - raised again, see blame
            self.blame(error)

    def on_control(self, element: Control) -> None:
        """Idleness and end pass through: to every outlet below, in place."""
        for outlet in self.outlets:
            outlet.control(element)
        for link, _ in self.main:
            link.on_control(element)
        for feeds, outlets in self.sides.values():
            for outlet in outlets:
                outlet.control(element)
            for link, _ in feeds:
                link.on_control(element)

    def on_end(self) -> Iterator[Signal]:
        """The input has ended: the last results of this operator, then of those it feeds."""
        yield from self.emit(self.operator.flush())
        yield from self.emit(self.operator.on_end())
        for link, _ in self.main:
            yield from link.on_end()
        for feeds, _ in self.sides.values():
            for link, _port in feeds:
                yield from link.on_end()


class Chain:
    """All links of a subtask; the first one is the head."""

    def __init__(self, links: Sequence[Link]) -> None:
        self.links = links
        self.head = links[0]
        sides = [outlets for link in links for _, outlets in link.sides.values()]
        self._outlets = [
            o for outlets in [*(link.outlets for link in links), *sides] for o in outlets
        ]
        plain = Operator.next_timer
        self._timed = [x for x in links if type(x.operator).next_timer is not plain]

    def open(self) -> None:
        """Opens operators from the end, so that whatever one emits finds an open operator."""
        for link in reversed(self.links):
            link.open()

    def next_timer(self) -> int | None:
        """The earliest wall time (µs UTC) any operator waits for."""
        earliest = None
        for link in self._timed:
            time = link.operator.next_timer()
            if time is not None and (earliest is None or time < earliest):
                earliest = time
        return earliest

    def on_time(self, now: int) -> Iterator[Signal]:
        """Fires every operator that is due, in chain order."""
        for link in self._timed:
            due = link.operator.next_timer()
            if due is not None and due <= now:
                yield from link.on_time(now)

    def on_status(self, status: Status) -> None:
        """Passes idleness on."""
        self.head.on_control(status)

    def on_marker(self, marker: Marker) -> None:
        """Passes by all operators: everything of before it has been through them."""
        for outlet in self._outlets:
            outlet.mark(marker)

    def on_barrier(self, barrier: Barrier, *, forward: bool) -> Iterator[Signal]:
        """Makes every operator ready for a snapshot. `forward` the barrier, unless the outlets have ended."""
        yield from self.head.on_barrier(barrier, forward=forward)

    def restore(self, states: Mapping[str, RestoredState]) -> None:
        """By uid, after `open`; operators without any begin anew."""
        for link in self.links:
            state = states.get(link.node.uid or "")
            if state is not None:
                link.restore(state)

    def on_end(self) -> Iterator[Signal]:
        """Ends every operator, then every outlet."""
        yield from self.head.on_end()
        self.head.on_control(END_OF_INPUT)

    async def close(self) -> None:
        """Closes every operator, all of them even when one fails; raises the first failure."""
        failure: Exception | None = None
        for link in self.links:
            try:
                await link.close()
            except Exception as error:  # noqa: BLE001 - the others must be closed too
                failure = failure or error
        if failure is not None:
            raise failure


def to_columns(rows: Rows, codec: RowCodec) -> Batch:
    """The same rows as a batch."""
    return Batch(codec.columns(rows.values), rows.timestamps, rows.kinds)


def to_rows(batch: Batch, codec: RowCodec) -> Rows:
    """The same rows as Python values that own their bytes."""
    return Rows(codec.rows(batch.columns), batch.timestamps, batch.kinds)
