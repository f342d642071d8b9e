"""Copies of small tensors from an accelerator to the host, without waiting."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

import torch

from gradsound.measure.device_streams import find_streams

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


class AsyncCopy:
    """Copies of small tensors on the host.

    Args:
        tensors: Tensors of any shape on any device. A tensor in host memory is not copied.

    Attributes:
        exact: Whether ``ready`` is exact. If a device does not signal the end of a copy,
            ``ready`` tells only whether the device has the values to compute. Then they are
            read without waiting if the device has later steps to compute as well.

    Raises:
        RuntimeError: If a tensor has no values, because its device is "meta".

    Example:
        >>> copy = AsyncCopy([torch.tensor([0.5, 2.0])])
        >>> copy.ready, copy.values()[0].tolist()
        (True, [0.5, 2.0])
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._copies = [_start_copy(tensor) for tensor in tensors]
        self.exact = not any(isinstance(copy, _LaterCopy) for copy in self._copies)

    @property
    def ready(self) -> bool:
        """Whether all copies are complete, as far as the devices signal it."""
        return all(copy.ready for copy in self._copies)

    def values(self) -> list[NDArray[np.float64]]:
        """Returns the values in the order of the tensors; waits for incomplete copies."""
        return [copy.wait().double().numpy() for copy in self._copies]


class _Copy(Protocol):
    """A copy of one tensor."""

    @property
    def ready(self) -> bool: ...

    def wait(self) -> torch.Tensor:
        """Returns the tensor in host memory."""


class _HostTensor:
    """A tensor that is in host memory already."""

    ready = True

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor

    def wait(self) -> torch.Tensor:
        return self._tensor


class _QueuedCopy:
    """A copy to pinned memory behind the kernels in the queue of the device."""

    def __init__(self, tensor: torch.Tensor, queue: Any) -> None:
        self._copy = torch.empty(
            tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=True
        )
        self._copy.copy_(tensor, non_blocking=True)
        self._event = queue.Event()
        self._event.record(queue.current_stream(tensor.device))

    @property
    def ready(self) -> bool:
        return bool(self._event.query())

    def wait(self) -> torch.Tensor:
        self._event.synchronize()
        return self._copy


class _LaterCopy:
    """A copy on the device, which the host reads at a later step.

    A device that compiles operations later computes it in the graph of the step, if the
    copy still exists at the end of the step. To read it before would cut that graph.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        # The training may change the tensor until the host reads it.
        self._copy = tensor.detach().clone()

    @property
    def ready(self) -> bool:
        backend = getattr(sys.modules.get("torch_xla"), "_XLAC", None)
        needs = getattr(backend, "_check_tensor_need_materialization", None)
        return (
            needs is None or self._copy.device.type != "xla" or not needs([self._copy])[0]
        )

    def wait(self) -> torch.Tensor:
        return self._copy.cpu()


def _start_copy(tensor: torch.Tensor) -> _Copy:
    if tensor.is_cpu:
        return _HostTensor(tensor)
    if tensor.is_meta:
        raise RuntimeError("a tensor on the device 'meta' has no values")
    queue = find_streams(tensor.device.type)
    return _LaterCopy(tensor) if queue is None else _QueuedCopy(tensor, queue)
