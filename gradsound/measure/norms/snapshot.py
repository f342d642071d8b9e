"""Norms as they were taken, of all parameters at once or one by one.

Shapes: P parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from gradsound.measure.norms.compute import norm_of, norms_on_device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(slots=True)
class NormSnapshot:
    """Norms as they were taken, to be put in order when there is time.

    Attributes:
        none: Which parameters have no gradient, shape (P,).
        order: Whose the next two are, by index.
        small: Norms of small gradients in the processor's memory, as float64.
        values: Norms of the others there.
        vectors: Norms of gradients in the memory of accelerators, a vector there for each,
            0 elsewhere, each shape (P,).
    """

    none: NDArray[np.bool_]
    order: NDArray[np.intp]
    small: bytes
    values: Sequence[float]
    vectors: Sequence[torch.Tensor]

    def on_host(self) -> NDArray[np.float64]:
        """Norms of those in the processor's memory, shape (P,); 0 elsewhere."""
        norms = np.zeros(len(self.none))
        small = np.frombuffer(self.small)
        norms[self.order[: len(small)]] = small
        norms[self.order[len(small) :]] = self.values
        return norms


class NormCollector:
    """Norms taken one by one while a backward pass goes on.

    Attributes:
        norms: By the parameter's index, each a number or, on an accelerator, a tensor.
    """

    def __init__(self) -> None:
        self.norms: dict[int, float | torch.Tensor] = {}

    def put(self, index: int, gradient: torch.Tensor) -> None:
        """Takes the norm of a parameter's gradient as it is now."""
        if gradient.is_cpu:
            self.norms[index] = norm_of(gradient)
        else:
            self.norms[index] = norms_on_device([0], [gradient], gradient.device)[0]

    def sample(self, size: int) -> NormSnapshot:
        """Norms of P = size parameters."""
        none = np.ones(size, bool)
        none[[*self.norms]] = False
        here = {k: norm for k, norm in self.norms.items() if isinstance(norm, float)}
        there: dict[torch.device, list[torch.Tensor]] = {}
        for index, norm in self.norms.items():
            if isinstance(norm, torch.Tensor):
                if norm.device not in there:
                    there[norm.device] = [torch.zeros_like(norm)] * size
                there[norm.device][index] = norm
        vectors = [torch.stack(norms) for norms in there.values()]
        return NormSnapshot(none, np.array([*here], int), b"", [*here.values()], vectors)
