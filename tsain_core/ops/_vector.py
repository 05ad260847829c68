"""Vector instructions for the CPU kernels, which Numba's own loops do not reach.

Numba must assume that arrays overlap, so it does not vectorise the short loops over the channels of
an offset group. These intrinsics load a group as one LLVM vector; the compiler splits it into
whatever registers the processor has. Indices are in elements of flat, dense arrays and must be
valid: nothing is checked here.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

Builder = Any
Value = Any


class _Access:
    """Loads and stores of vectors of `count` elements in the arrays of one call."""

    def __init__(self, context: Any, builder: Builder, element: Any, count: int) -> None:
        self.context, self.builder = context, builder
        self.scalar = context.get_value_type(element)
        self.bytes = element.bitwidth // 8
        self.vector = ir.VectorType(self.scalar, count)
        self.count = count

    def pointer(self, array_type: Any, array: Value, index: Value) -> Value:
        data = self.context.make_array(array_type)(self.context, self.builder, array).data
        at = self.builder.gep(data, [index])
        return self.builder.bitcast(at, self.vector.as_pointer())

    def load(self, pointer: Value) -> Value:
        return self.builder.load(pointer, align=self.bytes)

    def store(self, value: Value, pointer: Value) -> None:
        self.builder.store(value, pointer, align=self.bytes)

    def splat(self, value: Value) -> Value:
        """One scalar in all lanes."""
        first = self.builder.insert_element(
            ir.Constant(self.vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.count), [0] * self.count)
        return self.builder.shuffle_vector(first, first, zeros)

    def weighted_sum(self, values: list[Value], weights: list[Value]) -> Value:
        flags = ("contract",)
        total = self.builder.fmul(values[0], self.splat(weights[0]), flags=flags)
        for value, weight in zip(values[1:], weights[1:], strict=True):
            product = self.builder.fmul(value, self.splat(weight), flags=flags)
            total = self.builder.fadd(total, product, flags=flags)
        return total

    def dot(self, a: Value, b: Value) -> Value:
        """Sum over the lanes of a * b, in any order."""
        suffix = f"v{self.count}f{8 * self.bytes}"
        kind = ir.FunctionType(self.scalar, [self.scalar, self.vector])
        reduce = cgutils.get_or_insert_function(
            self.builder.module, kind, f"llvm.vector.reduce.fadd.{suffix}"
        )
        zero = ir.Constant(self.scalar, 0.0)
        product = self.builder.fmul(a, b)
        return self.builder.call(reduce, [zero, product], fastmath=("reassoc",))


@intrinsic(prefer_literal=True)
def zero_vector(typingctx, out, to, count):  # type: ignore[no-untyped-def]  # numba
    """out[to : to + count] = 0."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        access = _Access(context, builder, out.dtype, count.literal_value)
        zeros = ir.Constant(access.vector, [0.0] * access.count)
        access.store(zeros, access.pointer(out, args[0], args[1]))
        return context.get_dummy_value()

    return types.void(out, types.intp, count), codegen


@intrinsic(prefer_literal=True)
def blend_vector(typingctx, out, to, x, corners, weights, count):  # type: ignore[no-untyped-def]
    """out[to + c] = sum of weights[i] * x[corners[i] + c] over the four corners, c < count."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        access = _Access(context, builder, out.dtype, count.literal_value)
        values = [
            access.load(access.pointer(x, args[2], builder.extract_value(args[3], i)))
            for i in range(4)
        ]
        scales = [builder.extract_value(args[4], i) for i in range(4)]
        blended = access.weighted_sum(values, scales)
        access.store(blended, access.pointer(out, args[0], args[1]))
        return context.get_dummy_value()

    pair = types.UniTuple(types.intp, 4), types.UniTuple(out.dtype, 4)
    return types.void(out, types.intp, x, *pair, count), codegen


@intrinsic(prefer_literal=True)
def spread_vector(  # type: ignore[no-untyped-def]
    typingctx, out, to, x, grad_x, grad_columns, corners, weights, count
):
    """Backward of `blend_vector`.

    Fills `out` as it does, adds weights[i] * grad_columns[to + c] to grad_x[corners[i] + c], and
    returns the four sums of grad_columns[to + c] * x[corners[i] + c] over c < count.
    """
    sums = types.UniTuple(out.dtype, 4)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        access = _Access(context, builder, out.dtype, count.literal_value)
        corner_at = [builder.extract_value(args[5], i) for i in range(4)]
        scales = [builder.extract_value(args[6], i) for i in range(4)]
        values = [access.load(access.pointer(x, args[2], at)) for at in corner_at]
        grad = access.load(access.pointer(grad_columns, args[4], args[1]))
        access.store(access.weighted_sum(values, scales), access.pointer(out, args[0], args[1]))
        # one after the other: at the border two corners may be the same pixel
        for at, scale in zip(corner_at, scales, strict=True):
            pointer = access.pointer(grad_x, args[3], at)
            product = builder.fmul(grad, access.splat(scale), flags=("contract",))
            total = builder.fadd(access.load(pointer), product, flags=("contract",))
            access.store(total, pointer)
        return context.make_tuple(builder, sums, [access.dot(grad, v) for v in values])

    pair = types.UniTuple(types.intp, 4), types.UniTuple(out.dtype, 4)
    return sums(out, types.intp, x, grad_x, grad_columns, *pair, count), codegen
