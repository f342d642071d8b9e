"""Steps that a GradScaler skips: heard by standing in for its step()."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.measure.hooks.base import GradientMonitor


class GradScalerHandle:
    """Has a tap measure what no hook hears: with most optimizers, a skip calls none.

    The scaler's ``step`` is shadowed on the instance and does what it did; removing the
    handle leaves the scaler as it was.

    Args:
        scaler: Whose steps to hear.
        tap: Told of those that no hook of it heard.
        optimizer: If given, the only one that counts.
    """

    def __init__(
        self, scaler: GradScaler, monitor: GradientMonitor, optimizer: Optimizer | None
    ) -> None:
        self._scaler, self._original, self._monitor = scaler, scaler.step, monitor
        self._shadow = vars(scaler).get("step")  # of an attachment before this one
        self._optimizer = None if optimizer is None else weakref.ref(optimizer)
        self._active = True
        scaler.step = self._step  # type: ignore[method-assign]

    def remove(self) -> None:
        """Takes it off again; while another shadows it, it only passes on."""
        self._active = False
        while isinstance(top := _owner(vars(self._scaler).get("step")), GradScalerHandle):
            if top._active:
                break
            if top._shadow is None:
                del self._scaler.step
            else:
                self._scaler.step = top._shadow  # type: ignore[method-assign]

    def _step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        before = self._monitor.steps
        result = self._original(optimizer, *args, **kwargs)
        ours = self._optimizer is None or self._optimizer() is optimizer
        if self._active and ours and self._monitor.steps == before:
            self._monitor.measure_skipped(optimizer, self._scaler)
        return result


def _owner(method: object) -> object:
    return getattr(method, "__self__", None)
