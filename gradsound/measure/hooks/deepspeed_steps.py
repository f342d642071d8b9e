"""Measures the steps of a DeepSpeed engine, by a replacement of its optimizer's step().

The engine calls that method once for each step, at the end of an accumulation. Before it,
the gradients are complete, reduced over ranks, and multiplied by the loss scale. The method
unscales and clips them in memory of its own, so the norms that it applies are the norms
from before, times its clip factor.
"""

from __future__ import annotations

import functools
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gradsound.measure.deepspeed_clipping import (
    AppliedNorms,
    clipped_total,
    factor_in,
    loss_scale_of,
)
from gradsound.measure.deepspeed_engine import is_partitioned, trained_parameters
from gradsound.measure.distributed.zero_gradients import ZeroGradients
from gradsound.measure.hooks.guards import never_raises
from gradsound.measure.hooks.monitor import GradientMonitor
from gradsound.measure.hooks.parts import DEFAULT_PARTS, MonitorParts
from gradsound.measure.loss_scaling import LossScaling
from gradsound.measure.pending_step import PendingStep
from gradsound.measure.raw_norms import RawMeasurement

if TYPE_CHECKING:
    from gradsound.measure.norms.per_layer import NormsPerLayer
    from gradsound.measure.parameter_tracker import ParameterTracker
    from gradsound.measure.step_queue import Emit


class DeepSpeedMonitor(GradientMonitor):
    """Measures each step of one of DeepSpeed's optimizers.

    Args:
        tracker: As for `GradientMonitor`.
        optimizer: The optimizer of an engine.
        emit: As for `GradientMonitor`.
        budget: As for `GradientMonitor`.
        parts: As for `GradientMonitor`.
    """

    def __init__(
        self,
        tracker: ParameterTracker,
        optimizer: Any,
        emit: Emit,
        budget: float | None = None,
        parts: MonitorParts = DEFAULT_PARTS,
    ) -> None:
        super().__init__(tracker, emit, budget, parts)
        self._begun: _BegunStep | None = None
        if any(is_partitioned(p) for p in trained_parameters(optimizer)):
            self.reader.source = ZeroGradients(optimizer)
        self.handles.append(_StepHandle(optimizer, self))

    @never_raises
    def before_step(self, optimizer: Any) -> None:
        """Reads the gradients: the step changes them."""
        begin, self._begun = time.perf_counter(), None
        if self._count_step(begin):
            norms = self.reader.read(self.steps - 1)
            scale = loss_scale_of(optimizer)
            self._begun = _BegunStep(begin, norms, scale, factor_in(optimizer, scale))

    @never_raises
    def after_step(self, optimizer: Any) -> None:
        """Queues the step: the optimizer knows by now how it clipped, and if it skipped."""
        step, self._begun = self._begun, None
        if step is None or self._stopped:
            return
        clipped, values = self.raw_norms.pop(), self.logged_values.pop()
        raw = [] if clipped is None else clipped.measurements
        applied, skipped = step.norms, bool(optimizer.overflow)
        growth = 1.0 if skipped else loss_scale_of(optimizer) / step.loss_scale
        if growth != 1 or (optimizer.clip_grad and not skipped):
            raw = raw or [RawMeasurement(self.tracker.layers_of(None), step.norms)]
            total = clipped_total(optimizer, growth) if optimizer.clip_grad else 0.0
            limit = optimizer.clip_grad or np.inf
            applied = AppliedNorms(step.norms, growth, total, limit)
        loss_scaling = None
        if step.scale is not None or skipped:
            loss_scaling = LossScaling(step.scale, torch.tensor(float(skipped)))
        number, seconds = self.steps - 1, step.begin - self.start
        self.queue.pending.append(
            PendingStep(number, seconds, applied, raw, loss_scaling, None, values)
        )
        self.queue.emit_if_due(step.begin)
        if self.budget is not None:
            self.budget.charge(step.begin)


@dataclass(frozen=True, slots=True)
class _BegunStep:
    """What is known before a step.

    Attributes:
        begin: When the step begins, in seconds of ``time.perf_counter()``.
        norms: The norms of the layers before clipping.
        loss_scale: The loss scale of the optimizer; 1 if it has none.
        scale: The factor in the norms; None for no factor.
    """

    begin: float
    norms: NormsPerLayer
    loss_scale: float
    scale: torch.Tensor | None


class _StepHandle:
    """Replaces ``step`` of an optimizer until removed; it keeps no optimizer alive."""

    def __init__(self, optimizer: Any, monitor: DeepSpeedMonitor) -> None:
        self._optimizer = weakref.ref(optimizer)
        self._is_removed = False
        original = optimizer.step

        @functools.wraps(original)
        def step(*args: Any, **kwargs: Any) -> Any:
            if self._is_removed:
                return original(*args, **kwargs)
            monitor.before_step(optimizer)
            result = original(*args, **kwargs)
            monitor.after_step(optimizer)
            monitor.call_between_steps()
            return result

        self._step = weakref.ref(step)
        optimizer.step = step

    def remove(self) -> None:
        """Restores the method; under the replacement of other code, only calls it."""
        self._is_removed = True
        optimizer: Any = self._optimizer()
        if optimizer is not None and vars(optimizer).get("step") is self._step():
            del optimizer.step
