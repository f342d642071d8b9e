"""How long a rank waits, at the end of a backward pass, for the gradients of the others.

All ranks end a step together, so the duration of a step does not tell which of them is
slow. The slow one waits least.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gradsound.measure.device_streams import find_streams
from gradsound.runs.rank_layers import WAIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_MILLISECONDS = 1e-3  # seconds


class ReductionWait:
    """Measures the wait of each step, from all its backward passes.

    Autograd calls a callback at the end of a backward pass, and then those that others have
    added meanwhile: DistributedDataParallel waits for the other ranks in one of these. So a
    callback from the first gradient comes before that wait, and one that it adds comes
    after it.

    Args:
        stop_after_error: Called while an exception is handled, which ends here.
    """

    def __init__(self, stop_after_error: Callable[[], None]) -> None:
        self._stop_after_error = stop_after_error
        self._backward, self._device = -1, torch.device("cpu")  # pass in progress
        self._begun: _Instant | None = None
        self._waits: list[tuple[_Instant, _Instant]] = []  # since the last step

    def add_gradient(self, gradient: torch.Tensor) -> None:
        """Notes that a backward pass has made a gradient; called for each of them."""
        backward = torch._C._current_graph_task_id()
        if backward == self._backward:
            return
        self._backward, self._device = backward, gradient.device
        if backward >= 0:
            _queue(self._begin)

    def pop(self) -> dict[str, WaitSeconds]:
        """Returns the wait since the last step by its name; empty without backward pass."""
        waits, self._waits = self._waits, []
        return {WAIT: WaitSeconds(waits)} if waits else {}

    def _begin(self) -> None:
        try:
            self._begun = _Instant(self._device)
            _queue(self._end)
        except Exception:  # noqa: BLE001 (training must go on after any error)
            self._stop_after_error()

    def _end(self) -> None:
        try:
            if self._begun is not None:
                self._waits.append((self._begun, _Instant(self._device)))
                self._begun = None
        except Exception:  # noqa: BLE001 (training must go on after any error)
            self._stop_after_error()


class WaitSeconds:
    """A wait that may not be over yet on an accelerator; as of an `AsyncCopy`.

    Args:
        waits: The beginning and the end of each part.
    """

    def __init__(self, waits: list[tuple[_Instant, _Instant]]) -> None:
        self._waits = waits

    @property
    def ready(self) -> bool:
        """Whether `values` returns without waiting."""
        return all(end.ready for _, end in self._waits)

    def values(self) -> list[NDArray[np.float64]]:
        """Returns one number: the seconds; waits for the accelerator."""
        return [np.array(sum(end.seconds_since(begin) for begin, end in self._waits))]


class _Instant:
    """Now, on the host or in the queue of an accelerator.

    The host adds the reduction to that queue and goes on, so only the queue waits.
    """

    def __init__(self, device: torch.device) -> None:
        self._time = 0.0
        self._event: Any = None
        if (module := find_streams(device.type)) is None:
            self._time = time.perf_counter()
            return
        self._event = module.Event(enable_timing=True)
        self._event.record(module.current_stream(device))

    @property
    def ready(self) -> bool:
        return self._event is None or self._event.query()

    def seconds_since(self, earlier: _Instant) -> float:
        if self._event is None:
            return self._time - earlier._time
        self._event.synchronize()
        milliseconds: float = earlier._event.elapsed_time(self._event)
        return milliseconds * _MILLISECONDS


def _queue(callback: Callable[[], None]) -> None:
    """Adds a callback to those at the end of the backward pass in progress."""
    torch.autograd.Variable._execution_engine.queue_callback(callback)
