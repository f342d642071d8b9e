"""Gradients that lie in pieces on several ranks: their norms, added up by all of them.

Shapes: L layers, P parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist

from gradsound.measure.async_copy import AsyncCopy
from gradsound.measure.layers import is_sharded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from gradsound.measure.norms.snapshot import NormSnapshot


class ReducedNorms:
    """Norms of layers, added up over all ranks: as `taking.LayerNorms`."""

    def __init__(self, total: torch.Tensor) -> None:
        self._reading = AsyncCopy([total])

    @property
    def ready(self) -> bool:
        """As `LayerNorms.ready`."""
        return self._reading.ready

    def layers(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """As `LayerNorms.layers`.

        Raises:
            RuntimeError: If a rank could not measure its part.
        """
        (total,) = self._reading.values()
        squares, present, failed = np.split(total, [len(total) // 2, -1])
        if failed[0]:
            raise RuntimeError(f"{failed[0]:.0f} of the ranks could not measure its part")
        return np.sqrt(squares), present == 0


class ShardedNorms:
    """Adds up norms over all ranks, in one all-reduce of a few figures for each layer.

    Every rank must take part each time; so one that could not measure does too.
    """

    def rebind(self, parameters: Sequence[nn.Parameter | None]) -> None:
        """Looks at how parameters are divided, length P."""
        self._shares = np.array([_share(p) for p in parameters])
        self._on_device: tuple[torch.Tensor, torch.Tensor] | None = None
        kinds = [p.device_mesh.device_type for p in parameters if is_sharded(p)]  # type: ignore[union-attr]
        if kinds:
            kind = kinds[0]
            module: Any = torch.get_device_module(kind)
            at = f":{module.current_device()}" if kind != "cpu" else ""
            self._device = torch.device(f"{kind}{at}")

    def add_up(self, sample: NormSnapshot | None, first: NDArray[np.intp]) -> ReducedNorms:
        """As `taking.LocalNorms`, of this rank's parts; None if they are unknown."""
        size = len(first)
        figures = np.zeros(2 * size + 1)  # squares, presence, failures
        if sample is None:
            figures[-1] = 1
        else:
            squares = np.square(sample.on_host()) * self._shares
            figures[:size] = np.add.reduceat(squares, first)
            figures[size:-1] = ~np.logical_and.reduceat(sample.none, first)
        total = self._sent(torch.from_numpy(figures))
        for vector in sample.vectors if sample else ():
            if self._on_device is None:
                owner = np.repeat(np.arange(size), np.diff([*first, len(vector)]))
                self._on_device = (
                    self._sent(torch.from_numpy(self._shares)),
                    self._sent(torch.from_numpy(owner)),
                )
            shares, owners = self._on_device
            total[:size].index_add_(0, owners, vector.square() * shares)
        dist.all_reduce(total)
        return ReducedNorms(total)

    def local_part(self, parameter: Any) -> torch.Tensor | None:
        """What this rank has of a parameter's gradient, if there is one."""
        gradient = parameter.grad
        if gradient is None or not is_sharded(gradient):
            return gradient  # type: ignore[no-any-return]
        if gradient.placements != parameter.placements:  # such as a sum still to be made
            gradient = gradient.redistribute(placements=parameter.placements)
        return gradient.to_local()  # type: ignore[no-any-return]

    def _sent(self, tensor: torch.Tensor) -> torch.Tensor:
        """Puts a tensor where collectives take place, without waiting for it."""
        if self._device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)


def _share(parameter: nn.Parameter | None) -> float:
    """What this rank's squared norm counts for in the sum over all ranks.

    Pieces that several ranks have alike, on purpose or because a mesh does not tell of the
    other dimensions, would be counted as often otherwise.
    """
    pieces = 1
    if is_sharded(parameter):
        mesh: Any = parameter.device_mesh  # type: ignore[union-attr]
        for dimension, placement in enumerate(parameter.placements):  # type: ignore[union-attr]
            # Not is_shard(), which is false of what FSDP2 makes of tensor parallel.
            pieces *= 1 if placement.is_replicate() else mesh.size(dimension)
    return pieces / dist.get_world_size()
