"""A rank's own gradients, before DistributedDataParallel reduces them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from gradsound.measure.norms.snapshot import Held
from gradsound.measure.pending_step import Scalars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer


class OwnGradients:
    """Takes the norm of every gradient as the backward pass makes it.

    Gradients that are accumulated are taken each time, and the last time counts.

    Args:
        safely: Does something so that training does not notice when it fails.
        scaler: What scales the loss, if anything does: then gradients are still scaled.

    Attributes:
        held: What was taken since the last step.
    """

    def __init__(self, safely: Callable[..., None], scaler: GradScaler | None) -> None:
        self._safely, self._scaler = safely, scaler
        self._handles: list[Any] = []
        self.held = Held()

    def settle(self, parameters: Iterable[nn.Parameter | None]) -> None:
        """Takes those of these parameters from now on."""
        self.remove()
        for index, parameter in enumerate(parameters):
            if parameter is not None and parameter.requires_grad:
                hook = _Take(self.held, index, self._safely)
                self._handles.append(parameter.register_post_accumulate_grad_hook(hook))  # type: ignore[no-untyped-call]

    def scalars(self, optimizer: Optimizer) -> Scalars | None:
        """What is said of the step of an optimizer that is about to begin."""
        scale = None
        if self._scaler is not None and self._scaler.is_enabled() and self.held.norms:
            norm = next(iter(self.held.norms.values()))
            device = norm.device if isinstance(norm, torch.Tensor) else "cpu"
            scale = self._scaler.scale(torch.ones((), device=device))
        return Scalars.of(optimizer, scale)

    def remove(self) -> None:
        """Takes no more, and forgets what it took."""
        self.held.norms.clear()
        while self._handles:
            self._handles.pop().remove()


class _Take:
    """A hook that takes the norm of a parameter's gradient."""

    def __init__(self, held: Held, index: int, safely: Callable[..., None]) -> None:
        self._held, self._index, self._safely = held, index, safely

    def __call__(self, parameter: torch.Tensor) -> None:
        if (gradient := parameter.grad) is not None:
            self._safely(self._held.put, self._index, gradient)
