"""Measures steps that a GradScaler skips, by a replacement of its step()."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.measure.hooks.monitor import GradientMonitor


class GradScalerHandle:
    """Replaces ``step`` of one GradScaler until removed.

    If a scaler skips a step, most optimizers call no hook. So the replacement calls the
    original, then measures if no hook did.

    Args:
        scaler: The GradScaler.
        monitor: Measures the skipped steps.
        optimizers: If there are any, steps of others do not count.
    """

    def __init__(
        self,
        scaler: GradScaler,
        monitor: GradientMonitor,
        optimizers: Sequence[Optimizer],
    ) -> None:
        self._scaler, self._original, self._monitor = scaler, scaler.step, monitor
        self._previous = vars(scaler).get("step")  # the replacement of another attachment
        self._optimizers = weakref.WeakSet(optimizers) if optimizers else None
        self._active = True
        scaler.step = self._step  # type: ignore[method-assign]

    def remove(self) -> None:
        """Restores the scaler; under another replacement, only calls the original."""
        self._active = False
        while isinstance(top := _owner(vars(self._scaler).get("step")), GradScalerHandle):
            if top._active:
                break
            if top._previous is None:
                del self._scaler.step
            else:
                self._scaler.step = top._previous  # type: ignore[method-assign]

    def _step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        steps = self._monitor.steps
        result = self._original(optimizer, *args, **kwargs)
        counts = self._optimizers is None or optimizer in self._optimizers
        if self._active and counts and self._monitor.steps == steps:
            self._monitor.measure_skipped(optimizer, self._scaler)
            if self._monitor.steps > steps:
                self._monitor.call_between_steps()
        return result


def _owner(method: object) -> object:
    return getattr(method, "__self__", None)
