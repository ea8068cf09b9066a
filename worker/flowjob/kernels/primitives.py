"""What numba lacks and the kernels need: unaligned loads, the high half of a product, prefetch, and bit mixing.

Compiled into the kernels that call them. Indices are byte or element positions that the caller has checked."""

from __future__ import annotations

from typing import Any

import llvmlite.ir as ir
import numpy as np
from numba import extending
from numba.core import cgutils as _cgutils
from numba.core import types

from flowjob.kernels.compile import helper

cgutils: Any = _cgutils

MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_33 = np.uint64(33)


def intrinsic(function: Any) -> Any:
    """numba's decorator, whose annotations do not know that the first argument is not the caller's."""
    return extending.intrinsic(function)


@intrinsic
def load64(typing: Any, data: Any, position: Any) -> Any:  # noqa: ARG001 (numba's interface)
    """The eight bytes of uint8 array `data` from `position`, as a little-endian uint64; any alignment."""
    signature = types.uint64(data, types.int64)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array = context.make_array(sig.args[0])(context, builder, args[0])
        word = ir.IntType(64)
        pointer = builder.gep(array.data, [args[1]])
        return builder.load(builder.bitcast(pointer, word.as_pointer()), align=1)

    return signature, generate


@intrinsic
def store64(typing: Any, data: Any, position: Any, value: Any) -> Any:  # noqa: ARG001
    """Write uint64 `value` as the eight little-endian bytes of uint8 array `data` from `position`."""
    signature = types.void(data, types.int64, types.uint64)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array = context.make_array(sig.args[0])(context, builder, args[0])
        pointer = builder.gep(array.data, [args[1]])
        builder.store(args[2], builder.bitcast(pointer, ir.IntType(64).as_pointer()), align=1)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def copy_bytes(typing: Any, target: Any, at: Any, source: Any, start: Any, length: Any) -> Any:  # noqa: ARG001
    """memcpy between two uint8 arrays that do not overlap."""
    signature = types.void(target, types.int64, source, types.int64, types.int64)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        to = context.make_array(sig.args[0])(context, builder, args[0])
        of = context.make_array(sig.args[2])(context, builder, args[2])
        cgutils.raw_memcpy(
            builder,
            builder.gep(to.data, [args[1]]),
            builder.gep(of.data, [args[3]]),
            args[4],
            1,
        )
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def multiply_high(typing: Any, a: Any, b: Any) -> Any:  # noqa: ARG001
    """The high 64 bits of the 128-bit product of two uint64."""
    signature = types.uint64(types.uint64, types.uint64)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ARG001
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return signature, generate


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:  # noqa: ARG001
    """Ask for the cache line of `array[index]`; harmless when wrong."""
    signature = types.void(array, types.int64)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        values = context.make_array(sig.args[0])(context, builder, args[0])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        name = "llvm.prefetch.p0" if _opaque() else "llvm.prefetch.p0i8"
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        pointer = builder.bitcast(builder.gep(values.data, [args[1]]), byte)
        flags = [ir.Constant(number, n) for n in (0, 3, 1)]  # read, keep, data
        builder.call(function, [pointer, *flags])
        return context.get_dummy_value()

    return signature, generate


def _opaque() -> bool:
    """Whether this llvmlite names intrinsics for untyped pointers."""
    return not getattr(ir, "_typed_pointers", False)


@helper
def mix64(x: Any) -> Any:
    """The finaliser of MurmurHash3 (Austin Appleby, public domain): a bijection of uint64 that mixes all bits."""
    x ^= x >> _33
    x *= MIX_1
    x ^= x >> _33
    x *= MIX_2
    x ^= x >> _33
    return x
