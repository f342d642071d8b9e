"""A rank's own gradients, before DistributedDataParallel reduces them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from gradsound.measure.norms.snapshot import NormCollector
from gradsound.measure.pending_step import ScalerState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer


class LocalGradients:
    """Takes the norm of every gradient as the backward pass makes it.

    Gradients that are accumulated are taken each time, and the last time counts.

    Args:
        collect: Called with a parameter's index and its gradient; never raises.
        scaler: What scales the loss, if anything does: then gradients are still scaled.

    Attributes:
        held: What was taken since the last step.
    """

    def __init__(
        self, collect: Callable[[int, torch.Tensor], None], scaler: GradScaler | None
    ) -> None:
        self._collect, self._scaler = collect, scaler
        self._handles: list[Any] = []
        self.collector = NormCollector()

    def rebind(self, parameters: Iterable[nn.Parameter | None]) -> None:
        """Takes those of these parameters from now on."""
        self.remove()
        for index, parameter in enumerate(parameters):
            if parameter is not None and parameter.requires_grad:
                hook = _Take(index, self._collect)
                self._handles.append(parameter.register_post_accumulate_grad_hook(hook))  # type: ignore[no-untyped-call]

    def scalars(self, optimizer: Optimizer) -> ScalerState | None:
        """What is said of the step of an optimizer that is about to begin."""
        scale = None
        if self._scaler is not None and self._scaler.is_enabled() and self.collector.norms:
            norm = next(iter(self.collector.norms.values()))
            device = norm.device if isinstance(norm, torch.Tensor) else "cpu"
            scale = self._scaler.scale(torch.ones((), device=device))
        return ScalerState.of(optimizer, scale)

    def remove(self) -> None:
        """Takes no more, and forgets what it took."""
        self.collector.norms.clear()
        while self._handles:
            self._handles.pop().remove()


class _Take:
    """A hook that takes the norm of a parameter's gradient."""

    def __init__(self, index: int, collect: Callable[[int, torch.Tensor], None]) -> None:
        self._index, self._collect = index, collect

    def __call__(self, parameter: torch.Tensor) -> None:
        if (gradient := parameter.grad) is not None:
            self._collect(self._index, gradient)
