"""Notices calls of zero_grad(), by replacements of torch's methods."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gradsound.measure.hooks.monitor import GradientMonitor

# References to open monitors. A list, because each zero_grad() goes through it.
_monitors: list[weakref.ref[GradientMonitor]] = []


class ZeroGradHandle:
    """Tells a monitor when ``zero_grad()`` throws gradients away, until removed.

    While a handle exists, replacements of ``zero_grad`` of optimizers and of models tell
    all monitors, and call the originals.

    Args:
        monitor: Watches clipped gradients.
    """

    def __init__(self, monitor: GradientMonitor) -> None:
        self._monitor = weakref.ref(monitor, _forget)
        _monitors.append(self._monitor)
        for kind, parameters_of in _KINDS:
            if not hasattr(kind.zero_grad, "gradsound_original"):
                kind.zero_grad = _noticed(kind.zero_grad, parameters_of)

    def remove(self) -> None:
        """Removes the monitor; with the last one, restores torch's methods."""
        _forget(self._monitor)
        if _monitors:
            return
        for kind, _ in _KINDS:
            original = getattr(kind.zero_grad, "gradsound_original", None)
            if original is not None:  # None if other code replaced it since
                kind.zero_grad = original


def _forget(monitor: weakref.ref[GradientMonitor]) -> None:
    if monitor in _monitors:
        _monitors.remove(monitor)


def _parameters_of_optimizer(optimizer: Optimizer) -> Iterable[torch.Tensor]:
    return (p for group in optimizer.param_groups for p in group["params"])


_KINDS: tuple[tuple[Any, Callable[[Any], Iterable[torch.Tensor]]], ...] = (
    (Optimizer, _parameters_of_optimizer),
    (nn.Module, nn.Module.parameters),
)


def _noticed(
    function: Callable[..., Any], parameters_of: Callable[[Any], Iterable[torch.Tensor]]
) -> Callable[..., Any]:
    @functools.wraps(function)
    def zero_grad(owner: Any, *args: Any, **kwargs: Any) -> Any:
        if not torch.compiler.is_compiling():  # a monitor would break the graph
            for reference in (*_monitors,):  # another thread may change the list
                if (monitor := reference()) is not None:
                    monitor.raw_norms.watch.before_zero_grad(parameters_of, owner)
        return function(owner, *args, **kwargs)

    zero_grad.gradsound_original = function  # type: ignore[attr-defined]
    return zero_grad
