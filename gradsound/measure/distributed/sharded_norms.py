"""Norms of sharded gradients (FSDP2, tensor parallel, ZeRO), added up by one all-reduce.

Shapes: L layers, P parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist

from gradsound.measure.async_copy import AsyncCopy
from gradsound.measure.deepspeed_engine import is_partitioned
from gradsound.measure.device_streams import find_streams
from gradsound.measure.layers import is_sharded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from gradsound.measure.norms.snapshot import NormSnapshot


class ReducedNorms:
    """Norms of layers, added up over all ranks; a `NormsPerLayer`.

    Args:
        total: Sums over all ranks: squared norms, presences, failures, shape (2 L + 1,).
    """

    def __init__(self, total: torch.Tensor) -> None:
        self._copy = AsyncCopy([total])

    @property
    def ready(self) -> bool:
        """Whether `values` returns without waiting."""
        return self._copy.ready

    @property
    def exact(self) -> bool:
        """Whether ``ready`` is exact."""
        return self._copy.exact

    def values(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Returns norms and absence as `NormsPerLayer.values` does.

        Raises:
            RuntimeError: If a rank could not measure its part.
        """
        (total,) = self._copy.values()
        squares, present, failed = np.split(total, [len(total) // 2, -1])
        if failed[0]:
            raise RuntimeError(f"{failed[0]:.0f} of the ranks could not measure its part")
        return np.sqrt(squares), present == 0


class ShardedNorms:
    """Adds up squared norms over all ranks, by one all-reduce of 2 L + 1 numbers.

    Every rank must call `reduce` at every step, also a rank that could not measure.

    Attributes:
        group: The process group of the ranks with these layers; None for all ranks.
    """

    def __init__(self) -> None:
        self.group: Any = None
        self._device = torch.device("cpu")
        self._shares = np.zeros(0)

    def update_parameters(self, parameters: Sequence[nn.Parameter | None]) -> None:
        """Determines how parameters are divided among ranks.

        Args:
            parameters: Length P; None for one that no longer exists.
        """
        parts = np.array([_parts(p) for p in parameters])
        self._shares = parts / dist.get_world_size(self.group)
        # Shares and layer indices of the parameters, in the memory of the accelerator.
        self._shares_and_layers: tuple[torch.Tensor, torch.Tensor] | None = None
        kinds = [p.device.type for p in parameters if p is not None and is_sharded(p)]
        if kinds:
            self._device = _collective_device(kinds[0])

    def reduce(
        self, snapshot: NormSnapshot | None, first: NDArray[np.intp]
    ) -> ReducedNorms:
        """Adds up the norms of all ranks.

        Args:
            snapshot: Norms of this rank's parts; None if this rank could not measure.
            first: Index of each layer's first parameter, shape (L,).
        """
        size = len(first)
        sums = np.zeros(2 * size + 1)  # squared norms, presences, failures
        if snapshot is None:
            sums[-1] = 1
        else:
            squares = np.square(snapshot.host_norms()) * self._shares
            sums[:size] = np.add.reduceat(squares, first)
            sums[size:-1] = ~np.logical_and.reduceat(snapshot.without_gradient, first)
        total = self._to_device(torch.from_numpy(sums))
        for vector in snapshot.vectors if snapshot else ():
            if self._shares_and_layers is None:
                layers = np.repeat(np.arange(size), np.diff([*first, len(vector)]))
                self._shares_and_layers = (
                    self._to_device(torch.from_numpy(self._shares)),
                    self._to_device(torch.from_numpy(layers)),
                )
            device_shares, device_layers = self._shares_and_layers
            total[:size].index_add_(0, device_layers, vector.square() * device_shares)
        dist.all_reduce(total, group=self.group)
        return ReducedNorms(total)

    def local_gradient(self, parameter: Any) -> torch.Tensor | None:
        """Returns this rank's part of a parameter's gradient; None if it has none."""
        gradient = parameter.grad
        if gradient is None or not is_sharded(gradient):
            return gradient  # type: ignore[no-any-return]
        if gradient.placements != parameter.placements:  # for example an unfinished sum
            gradient = gradient.redistribute(placements=parameter.placements)
        return gradient.to_local()  # type: ignore[no-any-return]

    def _to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        """Moves a tensor to the device of the all-reduce without waiting."""
        if self._device.type == "cpu":
            return tensor
        if find_streams(self._device.type) is None:
            return tensor.to(self._device)
        return tensor.pin_memory().to(self._device, non_blocking=True)


def _collective_device(kind: str) -> torch.device:
    """Returns this rank's device of a kind, such as "cuda"."""
    if (module := find_streams(kind)) is None:  # host memory, or an accelerator alone
        return torch.device(kind)
    return torch.device(f"{kind}:{module.current_device()}")


def _parts(parameter: nn.Parameter | None) -> int:
    """Returns into how many parts a parameter is divided.

    Several ranks may have the same part, as replicas or because the parameter's mesh does
    not contain all dimensions of the training. So the squared norm of a part has the weight
    of one over their number; else the sum would contain the part several times.
    """
    parts = 1
    if is_partitioned(parameter):
        parts = _zero_parts(parameter)
    elif is_sharded(parameter):
        mesh: Any = parameter.device_mesh  # type: ignore[union-attr]
        for dimension, placement in enumerate(parameter.placements):  # type: ignore[union-attr]
            # is_shard() would be False for FSDP2 on top of tensor parallel.
            parts *= 1 if placement.is_replicate() else mesh.size(dimension)
    return parts


def _zero_parts(parameter: Any) -> int:
    """Returns into how many parts ZeRO divides a parameter.

    Ranks outside of its data-parallel group have the same parts, except for experts and
    tensor parallel layers: there each rank of the training has a part of its own.
    """
    names = ("model_parallel", "tensor_model_parallel")  # of Megatron and DeepSpeed
    parallel = any(getattr(parameter, name, False) for name in names)
    if parallel or not getattr(parameter, "allreduce", True):
        return dist.get_world_size()
    group = getattr(parameter, "ds_process_group", None)  # ZeRO 3
    return dist.get_world_size(group or getattr(parameter, "_dp_group", None))
