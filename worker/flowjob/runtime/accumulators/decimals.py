"""sum and mean of decimals, exactly: four limbs of 32 bits per slot, each summed in int64 by a
kernel.

Decimal arithmetic of Arrow cannot scatter, and Python's would cost a microsecond per row. The three
low limbs are unsigned, the top one signed; carries are settled when a result is asked for, or
before they could overflow."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowjob.errors import JobFailed
from flowjob.runtime.accumulators import scatter
from flowjob.runtime.accumulators.base import Accumulator, fields, grown, picked, valid_rows
from flowjob.runtime.accumulators.numeric import filled, int64s, valid_mask
from flowjob.runtime.batch import Int64s

_LIMBS = 4
_LOW = np.int64(0xFFFFFFFF)
_BITS = np.int64(32)
_SAFE_ROWS = 2**30
_PRECISION = 38
_STATE_PRECISION = 76


class DecimalSum(Accumulator):
    """sum of decimals as decimal128(38, scale). Partial: the limbs and the count."""

    partial_types = (pa.int64(),) * (_LIMBS + 1)

    def __init__(self, type: pa.DataType, scale: int) -> None:
        self.type = type
        self.scale = scale
        self.limbs: list[Int64s] = [np.empty(0, np.int64) for _ in range(_LIMBS)]
        self.counts: Int64s = np.empty(0, np.int64)
        self._rows = 0

    def grow(self, n_slots: int) -> None:
        self.limbs = [grown(limb, n_slots, 0) for limb in self.limbs]
        self.counts = grown(self.counts, n_slots, 0)

    def update(self, slots: Int64s, columns: Sequence[pa.Array]) -> None:
        slots, (values,) = valid_rows(slots, columns)
        self._add(slots, _limbs_of(values, self.scale))
        scatter.count(self.counts, slots)

    def running(
        self, slots: Int64s, columns: Sequence[pa.Array], at: Int64s | None = None
    ) -> pa.Array:
        self._make_room(len(slots))
        valid = valid_mask(columns)
        after = []
        for sums, values in zip(self.limbs, _limbs_of(filled(columns[0]), self.scale)):
            running = scatter.running_sum(sums, slots, values, valid)
            assert running is not None, "limbs are settled before they can overflow"
            after.append(picked(running, at))
        counts = scatter.running_count(self.counts, slots, valid)
        return self._shown(after, picked(counts, at))

    def partials(self, slots: Int64s) -> list[pa.Array]:
        limbs = _carried([limb[slots] for limb in self.limbs])
        return [*(pa.array(limb) for limb in limbs), pa.array(self.counts[slots])]

    def merge(self, slots: Int64s, partials: Sequence[pa.Array]) -> None:
        *limbs, counts = (int64s(partial) for partial in partials)
        self._add(slots, limbs)
        scatter.add_ints(self.counts, slots, counts)

    def state_fields(self, name: str) -> list[pa.Field]:
        exact = pa.decimal256(_STATE_PRECISION, self.scale)
        return fields(name, ("", exact), (".count", pa.int64()))

    def state(self, slots: Int64s) -> list[pa.Array]:
        # 256 bits, because a sum may be beyond 38 digits for a while.
        a, b, c, d = _carried([limb[slots] for limb in self.limbs])
        words = np.stack((a | (b << _BITS), c | (d << _BITS), d >> _BITS, d >> 63), axis=1)
        type = pa.decimal256(_STATE_PRECISION, self.scale)
        sums = pa.Array.from_buffers(type, len(slots), [None, pa.py_buffer(words)])
        counts = self.counts[slots]
        empty = counts == 0
        if empty.any():
            sums = pc.if_else(pa.array(empty), pa.scalar(None, type), sums)
        return [sums, pa.array(counts)]

    def load(self, slots: Int64s, state: Sequence[pa.Array]) -> None:
        sums, counts = state
        start = 4 * sums.offset
        words = np.frombuffer(sums.buffers()[1] or b"", np.int64)[start : start + 4 * len(sums)]
        low, high, higher = words[0::4], words[1::4], words[2::4]
        held = sums.is_valid().to_numpy(zero_copy_only=False)
        upper = ((high >> _BITS) & _LOW) | (higher << _BITS)
        given = (low & _LOW, (low >> _BITS) & _LOW, high & _LOW, upper)
        for limb, values in zip(self.limbs, given):
            limb[slots] = np.where(held, values, 0)
        self.counts[slots] = int64s(counts)

    def result(self, slots: Int64s) -> pa.Array:
        return self._shown([limb[slots] for limb in self.limbs], self.counts[slots])

    def reset(self, slots: Int64s) -> None:
        for limb in self.limbs:
            limb[slots] = 0
        self.counts[slots] = 0

    @property
    def nbytes(self) -> int:
        return self.counts.nbytes + sum(limb.nbytes for limb in self.limbs)

    def _add(self, slots: Int64s, limbs: Sequence[Int64s]) -> None:
        self._make_room(len(slots))
        for sums, values in zip(self.limbs, limbs):
            scatter.add_ints(sums, slots, values)

    def _make_room(self, rows: int) -> None:
        self._rows += rows
        if self._rows > _SAFE_ROWS:
            self._rows = rows
            _carried(self.limbs)

    def _shown(self, limbs: list[Int64s], counts: Int64s) -> pa.Array:
        """The results of these sums, as limbs, of so many values each."""
        a, b, c, d = _carried(limbs)
        words = np.empty((len(counts), 2), np.int64)
        words[:, 0] = a | (b << _BITS)
        words[:, 1] = c | (d << _BITS)
        fits = (d >= -(2**31)) & (d < 2**31)
        type = pa.decimal128(_PRECISION, self.scale)
        sums = pa.Array.from_buffers(type, len(counts), [None, pa.py_buffer(words)])
        try:
            sums.validate(full=True)
        except pa.ArrowInvalid:
            fits[:] = False
        if not fits.all():
            raise JobFailed(f"a sum of decimals needs more than {_PRECISION} digits")
        empty = counts == 0
        return pc.if_else(pa.array(empty), pa.scalar(None, type), sums) if empty.any() else sums


class DecimalMean(DecimalSum):
    """mean of decimals, rounded half up (away from zero) to the result's scale."""

    def _shown(self, limbs: list[Int64s], counts: Int64s) -> pa.Array:
        # Division gives 20 digits more than the input's scale and cuts the rest, which cannot
        # change a rounding away from zero.
        sums = super()._shown(limbs, counts).cast(pa.decimal256(_PRECISION, self.scale))
        divisors = pa.array(np.maximum(counts, 1)).cast(pa.decimal256(19, 0))
        exact = pc.divide(sums, divisors)
        digits = self.type.scale
        if exact.type.scale > digits:
            exact = pc.round(exact, ndigits=digits, round_mode="half_towards_infinity")
        return exact.cast(self.type)


def _carried(limbs: list[Int64s]) -> list[Int64s]:
    """The limbs, in place, with what is beyond 32 bits of the lower ones moved up."""
    for lower, upper in pairwise(limbs):
        upper += lower >> _BITS
        lower &= _LOW
    return limbs


def _limbs_of(values: pa.Array, scale: int) -> list[Int64s]:
    """The 128-bit two's complement of null-free decimals, as three unsigned limbs and a signed
    one."""
    wide = values.cast(pa.decimal128(_PRECISION, scale))
    start = wide.offset
    words = np.frombuffer(wide.buffers()[1], np.int64)[2 * start : 2 * (start + len(wide))]
    low, high = words[0::2], words[1::2]
    return [low & _LOW, (low >> _BITS) & _LOW, high & _LOW, high >> _BITS]
