"""Norms of a rank's own gradients, before DistributedDataParallel reduces them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from gradsound.measure.loss_scaling import LossScaling
from gradsound.measure.norms.snapshot import NormCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.measure.distributed.reduction_wait import ReductionWait


class LocalGradients:
    """Hooks on parameters that collect the norm of each gradient in the backward pass.

    With gradient accumulation the norm of the last backward pass before a step counts.

    Args:
        collect: Called with a parameter's index and its gradient; never raises.
        scaler: The GradScaler that scales the loss, if any. The gradients still contain
            its loss scale.
        wait: Measures how long this rank waits for the others.

    Attributes:
        collector: Norms since the last step.
        wait: As given.
    """

    def __init__(
        self,
        collect: Callable[[int, torch.Tensor], None],
        scaler: GradScaler | None,
        wait: ReductionWait,
    ) -> None:
        self._collect, self._scaler = collect, scaler
        self._handles: list[Any] = []
        self._clipped: dict[int, float | torch.Tensor] = {}  # norms, by parameter index
        self.collector, self.wait = NormCollector(), wait

    def register_hooks(self, parameters: Iterable[nn.Parameter | None]) -> None:
        """Moves the hooks to these parameters."""
        self.remove()
        for index, parameter in enumerate(parameters):
            if parameter is not None and parameter.requires_grad:
                hook = _CollectHook(index, self._collect)
                self._handles.append(parameter.register_post_accumulate_grad_hook(hook))  # type: ignore[no-untyped-call]

    def add(self, index: int, gradient: torch.Tensor) -> None:
        """Collects the norm of this rank's gradient of the parameter with an index."""
        self.wait.add_gradient(gradient)
        self.collector.add(index, gradient)

    def keep_clipped(self) -> NormCollector:
        """Returns the collector, and keeps its norms for `drop_clipped`."""
        self._clipped = dict(self.collector.norms)
        return self.collector

    def drop_clipped(self) -> None:
        """Forgets norms that were kept, unless a backward pass has replaced them since."""
        for index, norm in self._clipped.items():
            if self.collector.norms.get(index) is norm:
                del self.collector.norms[index]
        self._clipped = {}

    def loss_scaling(self, optimizer: Optimizer | None = None) -> LossScaling | None:
        """Returns the loss scale in the collected norms, and the optimizer's skip flag."""
        loss_scale = None
        if self._scaler is not None and self._scaler.is_enabled() and self.collector.norms:
            norm = next(iter(self.collector.norms.values()))
            device = norm.device if isinstance(norm, torch.Tensor) else "cpu"
            loss_scale = self._scaler.scale(torch.ones((), device=device))
        if optimizer is None:
            return None if loss_scale is None else LossScaling(loss_scale, None)
        return LossScaling.of_optimizer(optimizer, loss_scale)

    def remove(self) -> None:
        """Removes the hooks and forgets the collected norms."""
        self.collector.norms.clear()
        while self._handles:
            self._handles.pop().remove()


class _CollectHook:
    """A hook of one parameter that passes the gradient on with the parameter's index."""

    def __init__(self, index: int, collect: Callable[[int, torch.Tensor], None]) -> None:
        self._index, self._collect = index, collect

    def __call__(self, parameter: torch.Tensor) -> None:
        if (gradient := parameter.grad) is not None:
            self._collect(self._index, gradient)
