"""Installs the hooks that fit a training: on its optimizer, or on its model."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, TypeAlias

from gradsound.measure.deepspeed_engine import is_engine_optimizer
from gradsound.measure.distributed.local_gradients import LocalGradients
from gradsound.measure.distributed.ranks import rank_count
from gradsound.measure.distributed.reduction_wait import ReductionWait
from gradsound.measure.hooks.cell_end import CellEnd
from gradsound.measure.hooks.clipping import ClipHandle
from gradsound.measure.hooks.deepspeed_steps import DeepSpeedMonitor
from gradsound.measure.hooks.grad_scaler import GradScalerHandle
from gradsound.measure.hooks.model import ModelMonitor
from gradsound.measure.hooks.optimizer import OptimizerMonitor
from gradsound.measure.hooks.parts import DEFAULT_PARTS, MonitorParts
from gradsound.measure.hooks.uneven_inputs import UnevenInputs
from gradsound.measure.hooks.unhooked import UnhookedGradients
from gradsound.measure.hooks.unscaling import UnscaleHandle
from gradsound.measure.hooks.zeroing import ZeroGradHandle
from gradsound.measure.parameter_tracker import ParameterTracker
from gradsound.measure.signals.signal_reader import SignalReader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from torch import nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.measure.layers import Layer
    from gradsound.measure.step_queue import Emit

JoinableMonitor: TypeAlias = OptimizerMonitor | ModelMonitor
Monitor: TypeAlias = JoinableMonitor | DeepSpeedMonitor


def install_monitor(
    model: nn.Module,
    layers: Sequence[Layer],
    optimizers: Sequence[Optimizer],
    emit: Emit,
    *,
    patterns: Iterable[str] | None = None,
    scaler: GradScaler | None = None,
    budget: float | None = None,
    local: bool = False,
    staged: bool = False,
    group: Any = None,
    signals: Collection[str] = (),
    parts: MonitorParts = DEFAULT_PARTS,
) -> Monitor:
    """Installs a monitor on the optimizers if there are any, else on the model.

    Args:
        model: The model with the layers.
        layers: Layers to measure.
        optimizers: The optimizers given to `gradsound.attach`, without wrappers.
        emit: Called in the training thread with one or more steps.
        patterns: The globs that selected the layers, if any.
        scaler: As for `gradsound.attach`.
        budget: As for `gradsound.attach`.
        local: Whether to measure this rank's gradients before they are reduced.
        staged: Whether the layers are stages of a pipeline.
        group: The process group of the ranks with these layers, if the model is sharded;
            None for all ranks.
        signals: Names of the signals to measure.
        parts: Constructors of the monitor's parts.

    Raises:
        ValueError: If one of DeepSpeed's optimizers is one of several, or local is given.
    """
    tracker = ParameterTracker(model, layers, optimizers, patterns)
    monitor: Monitor
    if any(map(is_engine_optimizer, optimizers)):
        _check_engine_optimizer(optimizers, local=local)
        monitor = DeepSpeedMonitor(tracker, optimizers[0], emit, budget, parts)
    elif len(optimizers) == 1:
        monitor = OptimizerMonitor(tracker, optimizers[0], emit, budget, parts)
    else:
        monitor = ModelMonitor(tracker, optimizers, emit, budget, parts)
        monitor.unhooked = UnhookedGradients() if staged else None
    if group is not None:
        monitor.reader.add_up_over(group)
    monitor.handles += [
        CellEnd(monitor),
        ClipHandle(monitor),
        UnscaleHandle(monitor),
        ZeroGradHandle(monitor),
    ]
    if rank_count() > 1:
        monitor.handles.append(UnevenInputs(monitor))
        monitor.reader.expects_no_stages = not staged
    if local:
        monitor.local_gradients = LocalGradients(
            monitor.collect, scaler, ReductionWait(monitor.stop_after_error)
        )
        monitor.update_parameters()
        monitor.handles.append(monitor.local_gradients)
    if scaler is not None:
        monitor.handles.append(GradScalerHandle(scaler, monitor, optimizers))
    if signals:
        monitor.signals = SignalReader(signals, tracker, monitor.reader.combine)
    return monitor


def _check_engine_optimizer(optimizers: Sequence[Optimizer], *, local: bool) -> None:
    if len(optimizers) > 1:
        raise ValueError(
            f"optimizer must be one optimizer with DeepSpeed, got a list of "
            f"{len(optimizers)}: attach to each engine, with a log of its own"
        )
    if local:
        raise ValueError(
            "ranks must be 'first' with a DeepSpeed optimizer, got 'each': its engine "
            "reduces the gradients in the backward pass"
        )


def join_optimizer(
    monitor: JoinableMonitor, optimizer: Optimizer, scaler: GradScaler | None
) -> None:
    """Has a monitor measure the steps of another optimizer of its layers too.

    Args:
        monitor: The monitor.
        optimizer: An optimizer that takes turns with the others, or takes their place.
        scaler: Its GradScaler, with mixed precision.
    """
    references = monitor.tracker.optimizers
    gone = [reference for reference in references if reference() is None]
    alive = [reference for reference in references if reference() is not None]
    # One that is gone is enough for the tracker to know that there was one.
    monitor.tracker.optimizers = [*gone[:1], *alive, weakref.ref(optimizer)]
    monitor.join(optimizer)
    if scaler is not None:
        monitor.handles.append(GradScalerHandle(scaler, monitor, [optimizer]))
