"""Reads signals before and after a step, and charges the budget for that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gradsound.measure.hooks.guards import never_raises

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from gradsound.measure.hooks.monitor import GradientMonitor


@never_raises
def begin_signals(monitor: GradientMonitor, optimizer: Optimizer) -> None:
    """Reads what a step is about to change, after its gradients were measured.

    With a closure, the gradients are measured after the step.

    Args:
        monitor: Measures the step.
        optimizer: The optimizer that makes it.
    """
    if monitor.signals is not None:
        begin = time.perf_counter()
        allowed = monitor.budget is None or monitor.budget.allows(begin)
        monitor.signals.before_step(optimizer, closure=monitor.in_closure and allowed)
        _charge(monitor, begin)


@never_raises
def end_signals(monitor: GradientMonitor, optimizer: Optimizer, *, alone: bool) -> None:
    """Reads what a step changed, and emits due steps.

    Args:
        monitor: As for `begin_signals`.
        optimizer: As for `begin_signals`.
        alone: Whether no other optimizer goes on with the measured step.
    """
    if monitor.signals is not None:
        begin = time.perf_counter()
        monitor.signals.after_step(optimizer)
        if alone:
            monitor.signals.close()
        monitor.queue.emit_if_due(begin)
        _charge(monitor, begin)


def _charge(monitor: GradientMonitor, begin: float) -> None:
    if monitor.budget is not None:
        monitor.budget.charge_more(begin)
