"""Which tap fits a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from gradsound.measure.distributed.local_gradients import LocalGradients
from gradsound.measure.hooks.clipping import ClipHandle
from gradsound.measure.hooks.grad_scaler import GradScalerHandle
from gradsound.measure.hooks.model import ModelMonitor
from gradsound.measure.hooks.optimizer import OptimizerMonitor
from gradsound.measure.parameter_tracker import ParameterTracker

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import nn
    from torch.amp import GradScaler

    from gradsound.measure.hooks.base import GradientMonitor
    from gradsound.measure.layers import Layer
    from gradsound.measure.step_queue import Emit


def rank() -> int:
    """Which process of a distributed training this is; 0 if it is none."""
    return torch.distributed.get_rank() if ranks() > 1 else 0


def ranks() -> int:
    """How many processes train together."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return 1


def innermost(optimizer: Optimizer | None) -> Optimizer | None:
    """The optimizer that steps, without wrappers that have no hooks.

    Raises:
        ValueError: If a wrapper does not tell which it is.
    """
    found: Any = optimizer
    while found is not None and not hasattr(found, "_optimizer_step_pre_hooks"):
        inner = getattr(found, "optimizer", None)
        if not isinstance(inner, Optimizer):
            raise ValueError(
                f"optimizer {type(found).__name__} does not call Optimizer.__init__, so "
                "its steps cannot be heard: give the optimizer inside it"
            )
        found = inner
    return found  # type: ignore[no-any-return]


def monitor(
    model: nn.Module,
    layers: Sequence[Layer],
    optimizer: Optimizer | None,
    emit: Emit,
    *,
    patterns: Iterable[str] | None = None,
    scaler: GradScaler | None = None,
    budget: float | None = None,
    own: bool = False,
) -> GradientMonitor:
    """The tap that fits: of the optimizer if there is one, of the model if not.

    Args:
        model: Where the layers are.
        layers: What to measure.
        optimizer: As for `gradsound.attach`.
        emit: Called in the training thread with one or several steps.
        patterns: What the layers were chosen by, if they were.
        scaler: As for `gradsound.attach`.
        budget: As for `gradsound.attach`.
        own: Whether to measure this rank's gradients before they are reduced.

    Raises:
        ValueError: If there is a budget and layers are sharded, or own is asked for and
            either.
    """
    tracker = ParameterTracker(model, layers, optimizer, patterns)
    if tracker.sharded and budget is not None and not own:
        raise ValueError(
            f"budget must be None for a sharded model, got {budget}: all ranks have to "
            "measure the same steps, and each has a clock of its own"
        )
    if own and budget is not None:
        raise ValueError(
            f"budget must be None with ranks='each', got {budget}: a rank's own gradients "
            "are measured as they come, before it is known whether the step is left out"
        )
    if tracker.sharded and own:
        raise ValueError(
            "ranks must be 'first' for a sharded model, got 'each': no rank has gradients "
            "of its own, only its part of those of all"
        )
    made: GradientMonitor
    if optimizer is None:
        made = ModelMonitor(tracker, emit, budget)
    else:
        made = OptimizerMonitor(tracker, optimizer, emit, budget)
    made.handles.append(ClipHandle(made))
    if own:
        made.own = LocalGradients(made.collect, scaler)
        made.rebind()
        made.handles.append(made.own)
    if scaler is not None:
        made.handles.append(GradScalerHandle(scaler, made, optimizer))
    return made
