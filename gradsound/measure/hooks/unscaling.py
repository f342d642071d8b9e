"""Notices gradients that a GradScaler unscales after they were clipped."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from torch.amp import GradScaler

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.optim import Optimizer

    from gradsound.measure.hooks.monitor import GradientMonitor

_monitors: weakref.WeakSet[GradientMonitor] = weakref.WeakSet()  # open ones


class UnscaleHandle:
    """Tells a monitor when any GradScaler has unscaled gradients, until removed.

    While a handle exists, a replacement of ``GradScaler.unscale_`` calls the original, then
    all monitors. The scaler's ``step`` calls ``unscale_`` too, if the user did not.

    Args:
        monitor: Knows whether these gradients are clipped already.
    """

    def __init__(self, monitor: GradientMonitor) -> None:
        self._monitor = monitor
        _monitors.add(monitor)
        if not hasattr(GradScaler.unscale_, "gradsound_original"):
            GradScaler.unscale_ = _measured(GradScaler.unscale_)  # type: ignore[method-assign]

    def remove(self) -> None:
        """Removes the monitor; with the last one, restores torch's method."""
        _monitors.discard(self._monitor)
        original = getattr(GradScaler.unscale_, "gradsound_original", None)
        if not _monitors and original is not None:  # None if other code replaced it since
            GradScaler.unscale_ = original  # type: ignore[method-assign]


def _measured(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def unscale_(scaler: GradScaler, optimizer: Optimizer) -> Any:
        result = function(scaler, optimizer)
        for monitor in [*_monitors]:
            monitor.after_unscale(scaler, optimizer)
        return result

    unscale_.gradsound_original = function  # type: ignore[attr-defined]
    return unscale_
