"""Norms of parameters: of one moment, or collected one by one in a backward pass.

Shapes: P parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from gradsound.measure.norms.compute import compute_norm, compute_norms_on_device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(slots=True)
class NormSnapshot:
    """Norms as they were computed; the queue puts them together later.

    Attributes:
        without_gradient: Which parameters have no gradient, shape (P,).
        rows: Norms that machine code read, shape (any, P), 0 for the other parameters; None
            if it read none.
        row: The row of this moment. To select it can wait until the norms are needed.
        order: Parameter indices of the norms in ``values``; None for none.
        values: Norms of other gradients in host memory.
        vectors: One vector of norms for each accelerator, in its memory, shape (P,), 0 for
            parameters elsewhere.
    """

    without_gradient: NDArray[np.bool_]
    rows: NDArray[np.float64] | None
    row: int
    order: NDArray[np.intp] | None = None
    values: Sequence[float] = ()
    vectors: Sequence[torch.Tensor] = ()

    def host_norms(self) -> NDArray[np.float64]:
        """Returns the norms of gradients in host memory, 0 elsewhere, shape (P,)."""
        if self.rows is None:
            norms = np.zeros(len(self.without_gradient))
        else:
            norms = self.rows[self.row].copy()
        if self.order is not None:
            norms[self.order] = self.values
        return norms


def stack_host_norms(snapshots: Sequence[NormSnapshot]) -> NDArray[np.float64]:
    """Returns what `NormSnapshot.host_norms` returns of S snapshots, shape (S, P)."""
    return np.array(
        [
            one.host_norms() if one.rows is None or one.values else one.rows[one.row]
            for one in snapshots
        ]
    )


class NormCollector:
    """Norms that hooks compute one by one during a backward pass.

    Attributes:
        norms: Norms by parameter index; a 0-d tensor if the gradient is on an accelerator.

    Example:
        >>> collector = NormCollector()
        >>> collector.add(1, torch.tensor([3.0, 4.0]))
        >>> collector.snapshot(3).host_norms().tolist()
        [0.0, 5.0, 0.0]
    """

    def __init__(self) -> None:
        self.norms: dict[int, float | torch.Tensor] = {}

    def add(self, index: int, gradient: torch.Tensor) -> None:
        """Computes the norm of a parameter's current gradient."""
        if gradient.is_cpu:
            self.norms[index] = compute_norm(gradient)
        else:
            norms = compute_norms_on_device([0], [gradient], gradient.device)
            self.norms[index] = norms[0]

    def snapshot(self, size: int) -> NormSnapshot:
        """Returns the norms of P = size parameters."""
        without_gradient = np.ones(size, bool)
        without_gradient[[*self.norms]] = False
        host = {k: norm for k, norm in self.norms.items() if isinstance(norm, float)}
        devices: dict[torch.device, list[torch.Tensor]] = {}
        for index, norm in self.norms.items():
            if isinstance(norm, torch.Tensor):
                if norm.device not in devices:
                    devices[norm.device] = [torch.zeros_like(norm)] * size
                devices[norm.device][index] = norm
        return NormSnapshot(
            without_gradient,
            rows=None,
            row=0,
            order=np.array([*host], int),
            values=[*host.values()],
            vectors=[torch.stack(norms) for norms in devices.values()],
        )
