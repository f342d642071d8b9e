"""Figures on their way from an accelerator to the host, which does not wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


class AsyncCopy:
    """Small tensors, copied to the host behind whatever their devices are doing.

    Args:
        tensors: Of any device and shape; those in the processor's memory are there already.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._events: list[Any] = []
        self._copies = [self._copied(tensor) for tensor in tensors]

    def _copied(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_cpu:
            return tensor
        module: Any = torch.get_device_module(tensor.device)
        if not hasattr(module, "current_stream"):  # a device with one queue, such as mps
            return tensor.cpu()
        copy = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=True)
        copy.copy_(tensor, non_blocking=True)
        event = module.Event()
        event.record(module.current_stream(tensor.device))
        self._events.append(event)
        return copy

    @property
    def ready(self) -> bool:
        """Whether everything has arrived."""
        return all(event.query() for event in self._events)

    def values(self) -> list[NDArray[np.float64]]:
        """The figures, in the order given; waits for them if need be."""
        for event in self._events:
            event.synchronize()
        return [copy.double().numpy() for copy in self._copies]
