"""How norms are taken: all gradients at once, in single precision while that holds.

Shapes: P parameters, L layers.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Below, squares of float32 elements may have vanished, so the sum is taken again.
_SMALLEST = 1e-16
# What the sum is taken in; float32 for all others, half precision among them.
_SUM = {
    torch.float64: torch.float64,
    torch.complex32: torch.complex64,
    torch.complex64: torch.complex64,
    torch.complex128: torch.complex128,
}


def gradient_norms(gradients: Sequence[torch.Tensor | None]) -> NDArray[np.float64]:
    """Returns the L2 norm of each gradient, shape (P,); NaN where there is none.

    The gradients may differ in dtype, device and layout, and are not changed. Sums are
    taken in float32 at least, as one batch a device; one that leaves float32's range is
    taken again in float64, so a norm is infinite or 0 only where the gradient is.
    """
    norms = np.full(len(gradients), np.nan)
    batches = defaultdict(list)
    for index, gradient in enumerate(gradients):
        if gradient is not None:
            dense = _dense(gradient)
            sum_type = _SUM.get(dense.dtype, torch.float32)
            batches[dense.device, sum_type].append((index, dense))
    for (_, sum_type), batch in batches.items():
        indices, tensors = zip(*batch)
        taken = torch._foreach_norm(tensors, 2, dtype=sum_type)
        batch_norms = np.array(torch.stack(taken).real.tolist())
        norms[list(indices)] = batch_norms
        lost = np.flatnonzero(np.isinf(batch_norms) | (batch_norms < _SMALLEST))
        doubtful = [batch[k] for k in lost if tensors[k].numel()]
        if doubtful:
            _take_again(doubtful, norms)
    return norms


def layer_norms(norms: NDArray[np.float64], first: NDArray[np.intp]) -> NDArray[np.float64]:
    """Gathers parameters' norms to those of their layers, shape (L,).

    Args:
        norms: Of the parameters, in the order of the layers, shape (P,); NaN is kept.
        first: The index of each layer's first parameter, shape (L,).
    """
    return np.sqrt(np.add.reduceat(np.square(norms), first))


def _dense(gradient: torch.Tensor) -> torch.Tensor:
    """A dense tensor of the same norm."""
    if gradient.is_sparse:
        return gradient.coalesce().values()
    return gradient


def _take_again(
    batch: Sequence[tuple[int, torch.Tensor]], norms: NDArray[np.float64]
) -> None:
    """Takes norms with the largest element taken out, so that no square can overflow."""
    indices, tensors = zip(*batch)
    largest = torch.stack(torch._foreach_norm(tensors, float("inf"))).double()
    for index, tensor, most in zip(indices, tensors, largest.tolist()):
        norms[index] = most  # right if 0, infinite or NaN; layers that rest at 0 end here
        if 0 < most < np.inf:
            wide = tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)
            norms[index] = float(torch.linalg.vector_norm(wide / most)) * most
