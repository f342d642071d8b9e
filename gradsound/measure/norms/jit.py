"""Norms of many small gradients in one call of machine code, for the extra ``jit``.

In a training loop, the code of Python and of torch has left the caches when a monitor
measures. So each function of torch costs a multiple of the time for reading a small tensor.
This module compiles one function of a few hundred bytes instead. Shapes: P gradients.
"""

from __future__ import annotations

import ctypes
import struct
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from gradsound.llvm import compile_function

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# It sums squares in float64, where squares of float32 neither overflow nor become 0. A mask
# keeps the last read within the gradient. The table has P addresses, P sizes and P norms.
_CODE = """\
declare <16 x float> @llvm.masked.load.v16f32.p0(ptr, i32, <16 x i1>, <16 x float>)
declare <16 x double> @llvm.fmuladd.v16f64(<16 x double>, <16 x double>, <16 x double>)
declare double @llvm.vector.reduce.fadd.v16f64(double, <16 x double>)
declare double @llvm.sqrt.f64(double)
define void @gradsound_norms(ptr %table, i64 %count) {
entry:
  %sizes = getelementptr i64, ptr %table, i64 %count
  %norms = getelementptr i64, ptr %sizes, i64 %count
  br label %gradient
gradient:
  %k = phi i64 [0, %entry], [%next, %last]
  %address = getelementptr ptr, ptr %table, i64 %k
  %elements = load ptr, ptr %address
  %size_at = getelementptr i64, ptr %sizes, i64 %k
  %size = load i64, ptr %size_at
  %whole = and i64 %size, -16
  %any = icmp sgt i64 %whole, 0
  br i1 %any, label %vector, label %last
vector:
  %i = phi i64 [0, %gradient], [%i_next, %vector]
  %sum = phi <16 x double> [zeroinitializer, %gradient], [%sum_next, %vector]
  %at = getelementptr float, ptr %elements, i64 %i
  %single = load <16 x float>, ptr %at, align 4
  %double = fpext <16 x float> %single to <16 x double>
  %sum_next = call <16 x double> @llvm.fmuladd.v16f64(
    <16 x double> %double, <16 x double> %double, <16 x double> %sum)
  %i_next = add i64 %i, 16
  %more = icmp slt i64 %i_next, %whole
  br i1 %more, label %vector, label %last
last:
  %sums = phi <16 x double> [zeroinitializer, %gradient], [%sum_next, %vector]
  %left = sub i64 %size, %whole
  %left_0 = insertelement <16 x i64> poison, i64 %left, i64 0
  %lefts = shufflevector <16 x i64> %left_0, <16 x i64> poison, <16 x i32> zeroinitializer
  %mask = icmp slt <16 x i64> <i64 0, i64 1, i64 2, i64 3, i64 4, i64 5, i64 6, i64 7,
    i64 8, i64 9, i64 10, i64 11, i64 12, i64 13, i64 14, i64 15>, %lefts
  %last_at = getelementptr float, ptr %elements, i64 %whole
  %last_single = call <16 x float> @llvm.masked.load.v16f32.p0(
    ptr %last_at, i32 4, <16 x i1> %mask, <16 x float> zeroinitializer)
  %last_double = fpext <16 x float> %last_single to <16 x double>
  %all = call <16 x double> @llvm.fmuladd.v16f64(
    <16 x double> %last_double, <16 x double> %last_double, <16 x double> %sums)
  %square = call reassoc double @llvm.vector.reduce.fadd.v16f64(
    double 0.0, <16 x double> %all)
  %norm = call double @llvm.sqrt.f64(double %square)
  %norm_at = getelementptr double, ptr %norms, i64 %k
  store double %norm, ptr %norm_at
  %next = add i64 %k, 1
  %again = icmp slt i64 %next, %count
  br i1 %again, label %gradient, label %done
done:
  ret void
}
"""


class JitNorms:
    """Computes the L2 norms of the same parameters' small gradients again and again.

    Args:
        indices: Indices of the parameters, length P.

    Raises:
        RuntimeError: If LLVM cannot compile for this processor.
    """

    def __init__(self, indices: Sequence[int]) -> None:
        self._indices, self._count = indices, len(indices)
        self._call = _function()
        self._table = np.zeros(3 * self._count, np.int64)
        self._address = self._table.ctypes.data
        self._memory = self._table.data
        self._norms = self._memory[2 * self._count :]
        self._write = struct.Struct(f"{2 * self._count}q").pack_into

    @staticmethod
    def can_read(gradient: torch.Tensor) -> bool:
        """Returns whether a gradient is float32 and contiguous in host memory."""
        return (
            type(gradient) is torch.Tensor
            and gradient.dtype is torch.float32
            and gradient.is_cpu
            and gradient.is_contiguous()  # which no sparse tensor is
            and gradient.data_ptr() != 0  # 0 for a tensor without memory
        )

    def compute(self, gradients: Sequence[torch.Tensor | None]) -> bytes:
        """Returns the norms in the order of the indices, as float64.

        Args:
            gradients: Gradients of all parameters.

        Raises:
            TypeError: If the function can no longer read one of the gradients.
        """
        # The conditions of can_read(), inline: a call for each gradient would cost as much.
        kind, single = torch.Tensor, torch.float32
        small = [gradients[k] for k in self._indices]
        addresses = [
            g.data_ptr()
            for g in small
            if type(g) is kind and g.dtype is single and g.is_cpu and g.is_contiguous()
        ]
        if len(addresses) < self._count or not all(addresses):
            raise TypeError("a gradient changed its type, device or layout")
        sizes = [g.numel() for g in small]  # type: ignore[union-attr]
        self._write(self._memory, 0, *addresses, *sizes)
        self._call(self._address, self._count)
        return self._norms.tobytes()


@lru_cache(maxsize=1)
def _function() -> Callable[[int, int], None]:
    signature = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
    return signature(compile_function(_CODE, "gradsound_norms"))
