"""The norms of gradients, without losing any digit.

Sums that leave the range of float32 are taken again, so a norm is infinite or 0 only where
its gradient is. Shapes: P parameters.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch.linalg import vector_norm

if TYPE_CHECKING:
    from collections.abc import Sequence

    Gradients: TypeAlias = Sequence[torch.Tensor | None]

LARGE = 16_384  # up to here an operation more costs more, and a part in 60,000 is lost
# Elements that a processor sums in one go. Single precision loses a part in 4,000 over a
# million equal ones, two in a million over these; and rows are read a fifth faster than
# one long vector.
_ROW = 2048
_ROW_LEAST = 64  # shorter ones take longer than a second operation for what is left over
# Below, squares of float32 elements may have vanished, so the sum is taken again.
_SMALLEST = 1e-16
_ENLARGE = 2.0**100  # exact, and squares of what is under _SMALLEST stay in range
# What sums are taken in; float32 for all others, half precision among them.
_SUM = {
    torch.float64: torch.float64,
    torch.complex32: torch.complex64,
    torch.complex64: torch.complex64,
    torch.complex128: torch.complex128,
}


def norms_of_rows(matrix: torch.Tensor) -> list[float]:
    """Shape (rows,), of a matrix of shape (rows, N), which is changed."""
    sum_type = _SUM.get(matrix.dtype, torch.float32)
    norms: list[float] = vector_norm(matrix, dim=1, dtype=sum_type).tolist()
    for row in [row for row, norm in enumerate(norms) if norm == math.inf]:
        norms[row] = _norm_of_any_size(matrix[row])
    if any(norm < _SMALLEST for norm in norms) and matrix.dtype is not torch.float16:
        scaled = vector_norm(matrix.mul_(_ENLARGE), dim=1, dtype=sum_type).tolist()
        norms = [
            norm if norm >= _SMALLEST else large / _ENLARGE
            for norm, large in zip(norms, scaled)
        ]
    return norms


def norm_of(gradient: torch.Tensor) -> float:
    """Of any one gradient in the processor's memory."""
    dense = _dense(gradient)
    sum_type = _SUM.get(dense.dtype, torch.float32)
    if dense.numel() > LARGE and not dense.is_complex():
        norm = _norm_by_rows(dense.reshape(-1), sum_type)
    else:
        norm = vector_norm(dense, 2, None, False, dtype=sum_type).item()
    return norm if _SMALLEST <= norm < math.inf else _norm_of_any_size(dense)


def _norm_by_rows(vector: torch.Tensor, sum_type: torch.dtype) -> float:
    size = len(vector)
    row = math.gcd(size, _ROW)
    if row < _ROW_LEAST:
        row = _ROW
    left = size % row
    matrix = vector[: size - left].view(-1, row)
    rows = vector_norm(matrix, dim=1, dtype=sum_type)
    norm: float = vector_norm(rows, dtype=torch.float64).item()
    if left:
        norm = math.hypot(norm, vector_norm(vector[-left:], dtype=sum_type).item())
    return norm


def _norm_of_any_size(gradient: torch.Tensor) -> float:
    """Takes the largest element out first, so that no square can overflow or vanish."""
    if not gradient.numel():
        return 0.0
    most: float = vector_norm(gradient, math.inf).item()
    if not 0 < most < math.inf:
        return most  # right if 0, infinite or NaN; layers that rest at 0 end here
    wide = gradient.to(torch.complex128 if gradient.is_complex() else torch.float64)
    return float(vector_norm(wide / most)) * most


def norms_on_device(
    indices: list[int], gradients: Gradients, device: torch.device
) -> torch.Tensor:
    """Norms of those on an accelerator, as a vector there, shape (P,).

    Sums are taken in float64, which leaves nothing to be looked at and taken again: the
    time is that of reading the gradients all the same.
    """
    sum_type = torch.float32 if device.type == "mps" else torch.float64  # it has no other
    norms = [torch.zeros((), dtype=sum_type, device=device)] * len(gradients)
    real: list[tuple[int, torch.Tensor]] = []
    complex_: list[tuple[int, torch.Tensor]] = []
    for index in indices:
        dense = _dense(gradients[index])  # type: ignore[arg-type]
        if dense.numel():  # older kernels read beyond an empty one
            (complex_ if dense.is_complex() else real).append((index, dense))
    if real:
        taken = torch._foreach_norm([dense for _, dense in real], 2, dtype=sum_type)
        for (index, _), norm in zip(real, taken):
            norms[index] = norm
    for index, dense in complex_:
        norms[index] = vector_norm(torch.view_as_real(dense), dtype=sum_type)
    return torch.stack(norms)


def _dense(gradient: torch.Tensor) -> torch.Tensor:
    """A dense tensor of the same norm."""
    if gradient.is_sparse:
        return gradient.coalesce().values()
    return gradient
