"""The shares of gradients that are exactly 0, possibly still on an accelerator.

Shapes: L layers, P parameters.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import torch

from gradsound.measure.async_copy import AsyncCopy
from gradsound.measure.norms.compute import LARGE, dense_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gradsound.measure.norms.compute import Gradients

# Steps of an optimizer from one count to the next; it takes a thirtieth of a short step.
ZEROS_STEPS = 10


class ZeroShares:
    """The shares of zeros in the gradients of layers.

    A number that a sparse gradient leaves out is 0.

    Args:
        gradients: Length P; None for a parameter without a gradient.
        first: Index of each layer's first parameter, shape (L,).

    Example:
        >>> ZeroShares([torch.tensor([0.0, 2.0]), None], np.array([0, 1])).values()
        array([0.5, nan])
    """

    def __init__(self, gradients: Gradients, first: NDArray[np.intp]) -> None:
        self._first = first
        self._sizes = np.array([0 if g is None else g.numel() for g in gradients])
        self._nonzero = np.zeros(len(gradients), np.int64)
        dense = {
            k: dense_numbers(gradient)
            for k, gradient in enumerate(gradients)
            if gradient is not None and gradient.numel()
        }
        small = {k: g for k, g in dense.items() if g.is_cpu and 0 < g.numel() <= LARGE}
        self._count_small(small)
        counts: dict[torch.device, dict[int, torch.Tensor]] = defaultdict(dict)
        for index in dense.keys() - small.keys():
            # A device that computes later has these two, but perhaps no count_nonzero.
            count = (dense[index] != 0).sum()
            if count.is_cpu:
                self._nonzero[index] = int(count)
            else:
                counts[count.device][index] = count
        self._indices = [[*by_index] for by_index in counts.values()]
        self._copy = AsyncCopy(
            [torch.stack([*by_index.values()]) for by_index in counts.values()]
        )

    def _count_small(self, gradients: Mapping[int, torch.Tensor]) -> None:
        """Counts the numbers of small gradients in host memory, in few operations."""
        if not gradients:
            return
        flat = [gradient.reshape(-1) for gradient in gradients.values()]
        nonzero = (torch.cat(flat) != 0).numpy()
        begins = np.cumsum([0, *map(len, flat[:-1])])
        counts = np.add.reduceat(nonzero, begins, dtype=np.int64)
        self._nonzero[[*gradients]] = counts

    @property
    def ready(self) -> bool:
        """Whether `values` returns without waiting."""
        return self._copy.ready

    def values(self) -> NDArray[np.float64]:
        """Returns the shares, shape (L,); NaN for a layer without a gradient."""
        nonzero = self._nonzero.copy()
        for indices, counts in zip(self._indices, self._copy.values()):
            nonzero[indices] = counts
        sizes = np.add.reduceat(self._sizes, self._first)
        zeros = np.add.reduceat(self._sizes - nonzero, self._first)
        with np.errstate(invalid="ignore"):  # 0 / 0
            return np.asarray(zeros / sizes, np.float64)
