"""What a hook calls: measures a step, queues it, and stops at the first error.

A hook calls `GradientMonitor.measure`, which calls `GradientReader.read` for the norms.
"""

from __future__ import annotations

import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from gradsound.errors import warn
from gradsound.measure.gradient_reader import GradientReader
from gradsound.measure.hooks.guards import never_raises, uncompiled
from gradsound.measure.hooks.parts import DEFAULT_PARTS, MonitorParts
from gradsound.measure.loss_scaling import LossScaling
from gradsound.measure.pending_step import PendingStep
from gradsound.measure.raw_norms import RawNorms

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.measure.distributed.local_gradients import LocalGradients
    from gradsound.measure.norms.per_layer import NormsPerLayer
    from gradsound.measure.norms.snapshot import NormCollector
    from gradsound.measure.parameter_tracker import ParameterTracker
    from gradsound.measure.step_queue import Emit


class GradientMonitor:
    """Measures the layers of a training at every step, until closed.

    Only hooks refer to it, and they go with the optimizer or the model. It keeps no
    parameter alive.

    Args:
        tracker: The layers to measure.
        emit: Called in the training thread with one or more steps.
        budget: The share of the training time that measuring may take, between 0 and 1. The
            monitor leaves steps out to keep to it. None measures every step.
        parts: Constructors of the monitor's parts.

    Attributes:
        tracker: As given.
        queue: Measured steps that are not emitted yet.
        logged_values: Values for the next measured step.
        reader: Reads the norms of the layers.
        local_gradients: Measured in place of reduced gradients, if not None.
        steps: Number of steps so far, measured or left out.
        handles: Handles of hooks, each with a ``remove()``.
        start: When the run began, in seconds of ``time.perf_counter()``.
    """

    def __init__(
        self,
        tracker: ParameterTracker,
        emit: Emit,
        budget: float | None = None,
        parts: MonitorParts = DEFAULT_PARTS,
    ) -> None:
        self.start = time.perf_counter()
        self.tracker, self.queue = tracker, parts.queue(emit)
        self.logged_values = parts.logged_values()
        on_change, norms_per_layer = self.update_parameters, parts.norms_per_layer
        self.reader = GradientReader(tracker, on_change, norms_per_layer)
        self.local_gradients: LocalGradients | None = None
        self.steps = 0
        self.handles: list[Any] = []
        self._raw_norms = RawNorms(tracker, self.reader)
        parameters = len(tracker.parameters)
        self._budget = None if budget is None else parts.budget(budget, parameters)
        self._stopped = False  # then it emits nothing more
        self._left_alone = False  # closed without the other ranks, which need its part
        self.update_parameters()

    def update_parameters(self) -> None:
        """Moves to the tracker's current parameters."""
        self.reader.update_parameters()
        if self.local_gradients is not None:
            self.local_gradients.register_hooks(self.tracker.alive_parameters())

    @never_raises
    def measure(
        self,
        optimizer: Optimizer,
        fresh: Container[int] | None = None,
        skipped_loss_scale: float | None = None,
    ) -> None:
        """Measures the current gradients as one step.

        Args:
            optimizer: The optimizer that steps. A fused one under a GradScaler unscales its
                gradients later; until then it holds the loss scale.
            fresh: The ids of the parameters whose gradients count; all if None.
            skipped_loss_scale: The loss scale if a GradScaler skipped the step and its
                gradients are unscaled; else None.
        """
        if self.local_gradients is not None:
            loss_scaling = self.local_gradients.loss_scaling(optimizer)
            collector = self.local_gradients.collector
            self.measure_collected(collector, loss_scaling, skipped_loss_scale)
            return
        begin = time.perf_counter()
        if self._count_step(begin):
            norms = self.reader.read(self.steps - 1, fresh)
            loss_scaling = LossScaling.of_optimizer(optimizer)
            self._queue_step(begin, norms, loss_scaling, skipped_loss_scale)

    @never_raises
    def measure_collected(
        self,
        collector: NormCollector,
        loss_scaling: LossScaling | None,
        skipped_loss_scale: float | None = None,
    ) -> None:
        """Measures one step from the norms that hooks collected; empties the collector.

        Args:
            collector: Norms of some parameters.
            loss_scaling: The loss scale in the norms and the skip flag, if known.
            skipped_loss_scale: As for `measure`.
        """
        begin = time.perf_counter()
        if self._count_step(begin):
            norms = self.reader.read_collected(collector)
            self._queue_step(begin, norms, loss_scaling, skipped_loss_scale)
        collector.norms.clear()

    @never_raises
    def measure_skipped(self, optimizer: Optimizer, scaler: GradScaler) -> None:
        """Measures a step that a GradScaler skipped."""
        # The scaler has waited for the skip flag already: its scale costs no further sync.
        self.measure(optimizer, skipped_loss_scale=scaler.get_scale())

    @never_raises
    def before_clip(self, parameters: Iterable[torch.Tensor] | None = None) -> None:
        """Measures layers whose gradients are about to be clipped.

        Args:
            parameters: The parameters of these gradients; all if None.
        """
        begin = time.perf_counter()
        if self.local_gradients is not None:
            return
        if self._budget is not None and not self._budget.allows(begin):
            return
        self._raw_norms.measure(parameters)
        if self._budget is not None:
            self._budget.add(time.perf_counter() - begin)

    @never_raises
    def collect(self, index: int, gradient: torch.Tensor) -> None:
        """Collects the norm of this rank's gradient of the parameter with an index."""
        if self.local_gradients is not None:
            self.local_gradients.collector.add(index, gradient)

    @uncompiled
    def log_values(self, values: Mapping[str, object]) -> None:
        """Keeps values for the next measured step; does nothing once closed.

        The budget does not contain its time, because the user asks for each call.
        """
        if self.handles and not self._stopped:
            self.logged_values.add(values)

    @never_raises
    def flush(self) -> None:
        """Emits all measured steps and waits for those still on an accelerator."""
        self.queue.flush()

    def leave(self) -> None:
        """Prepares to close: on a sharded model, waits until all ranks close.

        If a rank does not close, this rank emits nothing more, but its hooks stay: without
        them, the other ranks would wait for its part for ever.
        """
        if not self.tracker.sharded or not self.handles:
            return
        try:
            from gradsound.measure.distributed.rendezvous import wait_for_ranks

            wait_for_ranks("close()")
        except (RuntimeError, ValueError) as error:  # ValueError: no process group any more
            self._left_alone = torch.distributed.is_initialized()
            self.flush()
            self._stop()
            warn(f"{error}; this rank goes on adding up gradients with the others")

    def close(self) -> None:
        """Emits all measured steps and removes the hooks. A second call does nothing."""
        self.flush()
        while self.handles and not self._left_alone:
            self.handles.pop().remove()

    def stop_after_error(self) -> None:
        """Ends measuring because of the exception in progress, with one warning."""
        with suppress(Exception):  # the queue itself may have failed
            self.queue.flush()
        self.queue.pending.clear()
        if self._stopped:
            return
        self._stop()
        if not self.tracker.sharded:  # the other ranks still need this rank's hooks
            self.close()
        warn(
            "an error ended the measuring; training goes on, what was recorded so far "
            f"is kept:\n{traceback.format_exc()}"
        )

    def _stop(self) -> None:
        self._stopped = True
        self.reader.withdraw()

    def _count_step(self, begin: float) -> bool:
        """Counts a step; returns whether the budget allows to measure it."""
        self.steps += 1
        if self._budget is None or self._budget.allows(begin):
            return True
        self._raw_norms.pop()
        return False

    def _queue_step(
        self,
        begin: float,
        norms: NormsPerLayer,
        loss_scaling: LossScaling | None,
        skipped_loss_scale: float | None,
    ) -> None:
        """Queues a measured step, emits due steps, and charges the budget."""
        raw = self._raw_norms.pop()
        if not self._stopped:
            number, seconds = self.steps - 1, begin - self.start
            values = self.logged_values.pop()
            step = PendingStep(
                number, seconds, norms, raw, loss_scaling, skipped_loss_scale, values
            )
            self.queue.pending.append(step)
        self.queue.emit_if_due(begin)
        if self._budget is not None:
            self._budget.charge(begin)
