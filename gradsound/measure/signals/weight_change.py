"""The change of the weights in one step, from a copy of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from gradsound.measure.norms.gradient_norms import GradientNorms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from gradsound.measure.norms.per_layer import NormsPerLayer
    from gradsound.measure.norms.snapshot import NormSnapshot
    from gradsound.measure.parameter_tracker import Reference

# Steps of an optimizer from one copy to the next; it takes a tenth of a short step.
UPDATE_STEPS = 4


class UpdateRatios:
    """The norms of changes by the norms of the weights before, of layers.

    Args:
        changes: Norms of the changes.
        weights: Norms of the weights before the step.
    """

    def __init__(self, changes: NormsPerLayer, weights: NormsPerLayer) -> None:
        self._changes, self._weights = changes, weights

    @property
    def ready(self) -> bool:
        """Whether `values` returns without waiting."""
        return self._changes.ready and self._weights.ready

    def values(self) -> NDArray[np.float64]:
        """Returns the ratios, shape (L,); NaN for a layer whose weights were all 0."""
        changes, weights = self._changes.values()[0], self._weights.values()[0]
        ratios = np.full(len(changes), np.nan)
        np.divide(changes, weights, out=ratios, where=weights > 0)
        return ratios


class WeightChange:
    """Copies weights before a step, and compares them after it.

    Args:
        combine: Makes norms of layers from those of all P parameters.
    """

    def __init__(self, combine: Callable[[NormSnapshot], NormsPerLayer]) -> None:
        self._combine, self._norms = combine, GradientNorms()
        self._references: Sequence[Reference] = ()
        self._copies: list[torch.Tensor] = []
        self._begun = False

    def begin(self, references: Sequence[Reference]) -> None:
        """Copies the weights.

        Args:
            references: Length P; those of other parameters refer to None. The same list
                stands for the same parameters.
        """
        self._begun = False
        current = [reference() for reference in references]
        weights: list[torch.Tensor] = [p for p in current if p is not None]
        if references is not self._references:
            self._references, self._norms, self._copies = references, GradientNorms(), []
        if len(weights) != len(self._copies):
            self._copies = [p.detach().clone() for p in weights]
        elif weights:
            torch._foreach_copy_(self._copies, weights)
        self._begun = bool(weights)

    def end(self) -> UpdateRatios | None:
        """Returns the ratios of the step; None if it did not begin, or the weights went."""
        current = [reference() for reference in self._references]
        weights: list[torch.Tensor] = [p for p in current if p is not None]
        if not self._begun or len(weights) != len(self._copies):
            return None
        self._begun = False
        before = self._combine(self._norms.compute(_place(self._copies, current)))
        torch._foreach_sub_(self._copies, weights)
        changes = self._combine(self._norms.compute(_place(self._copies, current)))
        if not all(copy.is_cpu for copy in self._copies):
            self._copies = []  # the training may need the memory of the device until then
        return UpdateRatios(changes, before)


def _place(
    tensors: Sequence[torch.Tensor], parameters: Sequence[nn.Parameter | None]
) -> list[torch.Tensor | None]:
    """Returns tensors in the places of the parameters that exist, length P."""
    remaining = iter(tensors)
    return [None if p is None else next(remaining) for p in parameters]
