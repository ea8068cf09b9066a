"""A wrapper around any operator that asserts what every operator promises: on in tests, off in production.

Outputs have the planned columns and types, timestamps and kinds match rows, watermarks never go back, nothing follows
the end, and snapshots change nothing. A broken promise is a defect of ours, so it raises AssertionError with the
operator's name. It must not know what the wrapped operator computes."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from flowjob.core.commits import CommitPermit
from flowjob.core.elements import MIN_TIME, Barrier, Watermark
from flowjob.plan.specs import OperatorSpec
from flowjob.plan.types import HIDDEN_PREFIX, StreamType
from flowjob.runtime.batch import Batch, Data, Rows
from flowjob.runtime.checkpoint.sections import Distribution, RestoredState, Section
from flowjob.runtime.operators.base import Operator, OperatorContext, Output, Side


class Checked(Operator):
    """Behaves like `operator`; see the module for what it asserts."""

    def __init__(self, operator: Operator, spec: OperatorSpec) -> None:
        self.operator = operator
        self.takes = operator.takes
        self.gives = operator.gives
        self.makes_watermarks = operator.makes_watermarks
        self._type = spec.output
        self._sides: Mapping[str, StreamType] = dict(getattr(spec, "side_types", ()))
        self._name = type(operator).__name__
        self._watermark = MIN_TIME
        self._ended = False

    def open(self, context: OperatorContext) -> None:
        self._name = context.name
        self.operator.open(context)

    def process(self, data: Data, port: int) -> Iterable[Output]:
        self._promise(not self._ended, "data came after the end")
        return self._checked(self.operator.process(data, port))

    def on_watermark(self, watermark: int) -> Iterable[Output]:
        self._promise(not self._ended, "a watermark came after the end")
        self._promise(watermark > self._watermark, f"time went back to {watermark}")
        self._watermark = watermark
        return self._checked(self.operator.on_watermark(watermark))

    def next_timer(self) -> int | None:
        return self.operator.next_timer()

    def on_time(self, now: int) -> Iterable[Output]:
        return self._checked(self.operator.on_time(now))

    def flush(self) -> Iterable[Output]:
        return self._checked(self.operator.flush())

    def on_end(self) -> Iterable[Output]:
        self._ended = True
        return self._checked(self.operator.on_end())

    def prepare(self, barrier: Barrier) -> Iterable[Output]:
        return self._checked(self.operator.prepare(barrier))

    def committables(self) -> list[bytes]:
        return self.operator.committables()

    def commit(self, committables: list[bytes], permit: CommitPermit) -> Awaitable[None] | None:
        return self.operator.commit(committables, permit)

    @property
    def state_bytes(self) -> int:
        return self.operator.state_bytes

    @property
    def state_is_words(self) -> bool:
        return self.operator.state_is_words

    def snapshot(self) -> Iterable[Section]:
        """Twice: it must change nothing, so both are equal."""
        sections = list(self.operator.snapshot())
        again = list(self.operator.snapshot())
        names = [section.name for section in sections]
        self._promise(len(set(names)) == len(names), f"sections of one name: {names}")
        self._promise(names == [s.name for s in again], "another snapshot has other sections")
        for first, second in zip(sections, again):
            problem = _problem(first) or _difference(first, second)
            self._promise(problem is None, f"snapshot section `{first.name}`: {problem}")
        return sections

    def restore(self, state: RestoredState) -> None:
        self._promise(self._watermark == MIN_TIME and not self._ended, "restored after it was used")
        self.operator.restore(state)

    async def close(self) -> None:
        await self.operator.close()

    def _checked(self, outputs: Iterable[Output]) -> Iterator[Output]:
        for output in outputs:
            match output:
                case Batch() | Rows():
                    self._check(output, self._type)
                case Side(tag, data):
                    self._check(data, self._sides.get(tag))
                case Watermark():
                    self._promise(self.makes_watermarks, "gave a watermark without saying so")
            yield output

    def _check(self, data: Data, type: StreamType | None) -> None:
        rows = len(data)
        for name in ("timestamps", "kinds"):
            values = getattr(data, name)
            self._promise(
                values is None or len(values) == rows, f"{rows} rows with other many {name}"
            )
        if isinstance(data, Batch) and type is not None and type.schema is not None:
            self._promise(
                _visible(data.columns.schema) == _visible(type.schema),
                f"gave columns {data.columns.schema} where {type.schema} was planned",
            )

    def _promise(self, kept: bool, broken: str) -> None:
        if not kept:
            raise AssertionError(f"operator `{self._name}`: {broken}")


def _visible(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """Names and types; nullability is a plan property that batches need not repeat."""
    return [(f.name, f.type) for f in schema if not f.name.startswith(HIDDEN_PREFIX)]


def _problem(section: Section) -> str | None:
    """What is wrong with a section by itself."""
    keyed = section.distribution is Distribution.KEYED
    if keyed != (section.hashes is not None):
        return "KEYED sections have hashes, and no others"
    if section.hashes is not None and len(section.hashes) != section.table.num_rows:
        return f"{len(section.hashes)} hashes for {section.table.num_rows} rows"
    return None


def _difference(first: Section, second: Section) -> str | None:
    """What differs between two snapshots of one state."""
    if first.distribution is not second.distribution or dict(first.meta) != dict(second.meta):
        return f"a second snapshot says {dict(second.meta)} instead of {dict(first.meta)}"
    if not first.table.schema.equals(second.table.schema, check_metadata=True):
        return f"a second snapshot has columns {second.table.schema}"
    mine, its = first.hashes, second.hashes
    if mine is not None and its is not None and not np.array_equal(mine, its):
        return "a second snapshot has other hashes"
    # NaN is not equal to itself, but looks the same.
    same = first.table.equals(second.table) or (
        repr(first.table.to_pylist()) == repr(second.table.to_pylist())
    )
    return None if same else "a second snapshot has other rows"
