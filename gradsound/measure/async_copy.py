"""Copies of small tensors from an accelerator to the host, without waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


class AsyncCopy:
    """Copies of small tensors on the host, each queued on the stream of its device.

    Args:
        tensors: Tensors of any shape on any device. A tensor in host memory is not copied.

    Example:
        >>> copy = AsyncCopy([torch.tensor([0.5, 2.0])])
        >>> copy.ready, copy.values()[0].tolist()
        (True, [0.5, 2.0])
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._events: list[Any] = []
        self._copies = [self._start_copy(tensor) for tensor in tensors]

    def _start_copy(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_cpu:
            return tensor
        module: Any = torch.get_device_module(tensor.device)
        if not hasattr(module, "current_stream"):  # mps has one queue and no streams
            return tensor.cpu()
        copy = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=True)
        copy.copy_(tensor, non_blocking=True)
        event = module.Event()
        event.record(module.current_stream(tensor.device))
        self._events.append(event)
        return copy

    @property
    def ready(self) -> bool:
        """Whether all copies are complete."""
        return all(event.query() for event in self._events)

    def values(self) -> list[NDArray[np.float64]]:
        """Returns the values in the order of the tensors; waits for incomplete copies."""
        for event in self._events:
            event.synchronize()
        return [copy.double().numpy() for copy in self._copies]
