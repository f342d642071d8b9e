"""L2 norms of gradients of any size, dtype and layout, at full precision.

A sum that leaves the range of float32 is computed again. So a norm is infinite or 0 only if
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

# Elements of a gradient up to which one sum is faster than rows; it loses a part in 60,000.
LARGE = 16_384
# Elements of one row. A float32 sum over a million equal elements loses a part in 4,000, a
# sum of such rows two parts in a million. And torch reads rows 20 % faster than one long
# vector.
_ROW = 2048
_SHORTEST_ROW = 64  # elements; shorter rows cost more than an operation for the remainder
_SMALLEST = 1e-16  # norm; below, squares of float32 elements may have become 0
_ENLARGE = 2.0**100  # exact; squares of elements below _SMALLEST stay in range
# The dtype of sums; float32 for all others, half precision among them.
_SUM_DTYPES = {
    torch.float64: torch.float64,
    torch.complex32: torch.complex64,
    torch.complex64: torch.complex64,
    torch.complex128: torch.complex128,
}
# Sparse layouts that have each place once, so that the norm is that of their values.
_COMPRESSED = {torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc}


def compute_row_norms(matrix: torch.Tensor) -> list[float]:
    """Returns the norm of each row of a matrix in host memory; may overwrite the matrix.

    Args:
        matrix: Real numbers, shape (rows, N).

    Example:
        >>> compute_row_norms(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
        [5.0, 2.0]
    """
    dtype = _SUM_DTYPES.get(matrix.dtype, torch.float32)
    norms: list[float] = vector_norm(matrix, dim=1, dtype=dtype).tolist()
    for row in [row for row, norm in enumerate(norms) if norm == math.inf]:
        norms[row] = _norm_without_overflow(matrix[row])
    if any(norm < _SMALLEST for norm in norms) and matrix.dtype is not torch.float16:
        enlarged = vector_norm(matrix.mul_(_ENLARGE), dim=1, dtype=dtype).tolist()
        norms = [
            norm if norm >= _SMALLEST else large / _ENLARGE
            for norm, large in zip(norms, enlarged)
        ]
    return norms


def compute_norm(gradient: torch.Tensor) -> float:
    """Returns the norm of one gradient in host memory.

    Example:
        >>> gradient = torch.tensor([3.0, 4.0]) * 2.0**100  # squares exceed float32
        >>> compute_norm(gradient) / 2.0**100
        5.0
    """
    dense = dense_numbers(gradient)
    dtype = _SUM_DTYPES.get(dense.dtype, torch.float32)
    if dense.numel() > LARGE and not dense.is_complex():
        norm = _norm_by_rows(dense.reshape(-1), dtype)
    else:
        norm = vector_norm(dense, 2, None, False, dtype=dtype).item()
    return norm if _SMALLEST <= norm < math.inf else _norm_without_overflow(dense)


def compute_small_norm(gradient: torch.Tensor) -> float:
    """Returns the norm of a dense float32 gradient of few elements, in less time.

    Raises:
        RuntimeError: If its elements do not lie side by side in their order.
    """
    vector = gradient.view(-1)
    square: float = torch.dot(vector, vector).item()
    if _SMALLEST**2 <= square < math.inf:
        return math.sqrt(square)
    return compute_norm(gradient)


def _norm_by_rows(vector: torch.Tensor, dtype: torch.dtype) -> float:
    size = len(vector)
    row = math.gcd(size, _ROW)
    if row < _SHORTEST_ROW:
        row = _ROW
    remainder = size % row
    matrix = vector[: size - remainder].view(-1, row)
    rows = vector_norm(matrix, dim=1, dtype=dtype)
    norm: float = vector_norm(rows, dtype=torch.float64).item()
    if remainder:
        norm = math.hypot(norm, vector_norm(vector[-remainder:], dtype=dtype).item())
    return norm


def _norm_without_overflow(gradient: torch.Tensor) -> float:
    """Divides by the largest element first, so that no square leaves the range."""
    if not gradient.numel():
        return 0.0
    largest: float = vector_norm(gradient, math.inf).item()
    if not 0 < largest < math.inf:
        return largest  # 0, infinity and NaN are exact; layers that rest at 0 end here
    wide = gradient.to(torch.complex128 if gradient.is_complex() else torch.float64)
    return float(vector_norm(wide / largest)) * largest


def compute_norms_on_device(
    indices: list[int], gradients: Gradients, device: torch.device
) -> torch.Tensor:
    """Returns norms of an accelerator's gradients as a vector in its memory, shape (P,).

    Sums are float64, which cannot overflow here; so the host does not have to check a
    result. The time is that of reading the gradients all the same.

    Args:
        indices: Parameters whose gradients are on the device; the others get norm 0.
        gradients: All gradients, length P.
        device: The accelerator.
    """
    dtype = torch.float32 if device.type == "mps" else torch.float64  # mps has no float64
    norms = [torch.zeros((), dtype=dtype, device=device)] * len(gradients)
    real: list[tuple[int, torch.Tensor]] = []
    complex_: list[tuple[int, torch.Tensor]] = []
    for index in indices:
        dense = dense_numbers(gradients[index])  # type: ignore[arg-type]
        if dense.numel():  # older kernels read beyond the end of an empty tensor
            (complex_ if dense.is_complex() else real).append((index, dense))
    if real:
        real_norms = torch._foreach_norm([dense for _, dense in real], 2, dtype=dtype)
        for (index, _), norm in zip(real, real_norms):
            norms[index] = norm
    for index, dense in complex_:
        norms[index] = vector_norm(torch.view_as_real(dense), dtype=dtype)
    return torch.stack(norms)


def dense_numbers(gradient: torch.Tensor) -> torch.Tensor:
    """Returns a dense tensor of the same norm: the numbers that a sparse one has."""
    if gradient.is_sparse:
        return gradient.coalesce().values()
    if gradient.layout in _COMPRESSED:
        return gradient.values()
    return gradient
