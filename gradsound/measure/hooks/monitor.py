"""What a hook calls: measures a step and queues it.

A hook calls `GradientMonitor.measure`, which calls `GradientReader.read` for the norms.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gradsound.measure.gradient_reader import GradientReader
from gradsound.measure.hooks.closure import ClosureNorms
from gradsound.measure.hooks.emitting_monitor import EmittingMonitor
from gradsound.measure.hooks.guards import never_raises
from gradsound.measure.hooks.parts import DEFAULT_PARTS, MonitorParts
from gradsound.measure.loss_scaling import LossScaling
from gradsound.measure.missing_steps import MissingSteps
from gradsound.measure.norms.per_layer import LocalNorms
from gradsound.measure.pending_step import PendingStep
from gradsound.measure.raw_norms import RawNorms

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    import torch
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.measure.distributed.local_gradients import LocalGradients
    from gradsound.measure.norms.per_layer import NormsPerLayer
    from gradsound.measure.norms.snapshot import NormCollector
    from gradsound.measure.parameter_tracker import ParameterTracker
    from gradsound.measure.raw_norms import RawMeasurement
    from gradsound.measure.signals.pending_signals import PendingSignals
    from gradsound.measure.signals.signal_reader import SignalReader
    from gradsound.measure.step_queue import Emit


class GradientMonitor(EmittingMonitor):
    """Measures the layers of a training at every step, until closed.

    Only hooks refer to it. It keeps no parameter alive.

    Args:
        tracker: The layers to measure.
        emit: Called in the training thread with one or more steps.
        budget: The share of the training time that measuring may take, between 0 and 1. The
            monitor leaves steps out to keep to it. None measures every step.
        parts: Constructors of the monitor's parts.

    Attributes:
        raw_norms: Norms from before clipping, for the next step.
        local_gradients: Measured in place of reduced gradients, if not None.
        signals: Reads the signals, if the user asked for some.
        budget: Decides which steps to leave out; None if there is no budget.
        alike: How many steps in a row, to the last one, had norms that machine code read,
            and nothing else.
        closure_norms: Norms of the gradients that a closure made, for the step.
        missing_steps: What tells why no step was seen.
        in_closure: Whether a step is in progress that calls a closure. It may do so several
            times, and throws gradients away in between.
    """

    def __init__(
        self,
        tracker: ParameterTracker,
        emit: Emit,
        budget: float | None = None,
        parts: MonitorParts = DEFAULT_PARTS,
    ) -> None:
        on_change, norms_per_layer = self.update_parameters, parts.norms_per_layer
        reader = GradientReader(tracker, on_change, norms_per_layer)
        super().__init__(tracker, parts.queue(emit), parts.logged_values(), reader)
        self.local_gradients: LocalGradients | None = None
        self.signals: SignalReader | None = None
        self.alike = 0
        self._hook_steps = 0
        self.in_closure = False
        self.raw_norms = RawNorms(tracker, self.reader)
        self.missing_steps = MissingSteps(tracker)
        parameters = len(tracker.parameters)
        self.budget = None if budget is None else parts.budget(budget, parameters)
        self.closure_norms = ClosureNorms(self.reader, self.budget)
        self.handles.append(self.raw_norms)
        self.update_parameters()

    @property
    def steps(self) -> int:
        """Number of steps so far, measured or left out."""
        return self._hook_steps + self.repeated.step_count

    @steps.setter
    def steps(self, steps: int) -> None:
        self._hook_steps = steps - self.repeated.step_count

    def update_parameters(self) -> None:
        """Moves to the tracker's current parameters."""
        self.reader.update_parameters()
        self.raw_norms.update_parameters()
        if self.local_gradients is not None:
            self.local_gradients.register_hooks(self.tracker.alive_parameters())

    @never_raises
    def after_closure(self, fresh: Container[int] | None = None) -> None:
        """Reads the gradients, ``fresh`` as for `measure`, that a closure has made."""
        if self.in_closure and self.local_gradients is None:
            self.closure_norms.read(self.steps, fresh)
            if self.signals is not None:
                self.signals.after_closure()

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
        if self.joined:  # ZeroRedundancyOptimizer steps then, with old gradients
            return
        if self.raw_norms.watch.discarded:
            self.record_discarded()
        if (local := self.local_gradients) is not None:
            self.logged_values.restore(local.wait.pop())
            loss_scaling = local.loss_scaling(optimizer)
            self.measure_collected(local.collector, loss_scaling, skipped_loss_scale)
            if self.tracker.is_due() and self.tracker.refresh():
                self.update_parameters()
            return
        begin = time.perf_counter()
        made = self.closure_norms.pop() if self.in_closure else None
        if self._count_step(made.time if made else begin):
            norms = (made and made.norms) or self.reader.read(self.steps - 1, fresh)
            loss_scaling = LossScaling.of_optimizer(optimizer)
            if loss_scaling is not None and loss_scaling.scales:
                self.raw_norms.warn_if_early()
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
        self.repeated.end()
        # The scaler has waited for the skip flag already: its scale costs no further sync.
        self.measure(optimizer, skipped_loss_scale=scaler.get_scale())

    def before_clip(self, parameters: Iterable[torch.Tensor] | None = None) -> None:
        """Measures layers whose gradients are about to be clipped.

        It calls `between_steps` if the training threw a step away before.

        Args:
            parameters: The parameters of these gradients; all if None.
        """
        steps = self.steps
        self._measure_unclipped(parameters)
        if self.steps > steps:
            self.call_between_steps()

    @never_raises
    def _measure_unclipped(self, parameters: Iterable[torch.Tensor] | None) -> None:
        begin = time.perf_counter()
        if self.repeated.active:
            self.repeated.end()
        # A gradient that is gone was thrown away. Before a step it proves nothing: some
        # trainings drop single gradients there.
        if self.raw_norms.watch.discarded or self.raw_norms.watch.is_gone():
            self.record_discarded()
        if self.budget is not None and not self.budget.allows(begin):
            if self.raw_norms.watch.accumulated:  # what is measured is of a part only
                self.drop_raw_norms()
            return
        if self.tracker.any_thawed() and self.tracker.refresh():
            self.update_parameters()  # the step would find these layers too late
        clipped = self.raw_norms.measure(parameters, begin, self.local_gradients)
        if clipped is not None:
            clipped.values.update(self.logged_values.pop())
            if parameters is None:  # the user clips, in an unknown way
                self.raw_norms.watch.look_for_zeros()
        if self.budget is not None:
            self.budget.add(time.perf_counter() - begin)

    @never_raises
    def after_unscale(self, scaler: GradScaler, optimizer: Optimizer) -> None:
        """Notes that a scaler divided the gradients of an optimizer by the loss scale."""
        self.raw_norms.after_unscale(scaler, optimizer)

    @never_raises
    def record_discarded(self) -> None:
        """Records a step whose clipped gradients the training threw away."""
        if self.in_closure:  # the optimizer has used these gradients
            self.drop_raw_norms()
        if (clipped := self.raw_norms.pop()) is None:
            return
        if self.local_gradients is not None:
            self.local_gradients.drop_clipped()
        self.steps += 1
        if self._stopped:
            return
        number, seconds = self.steps - 1, clipped.time - self.start
        step = PendingStep(
            number, seconds, None, clipped.measurements, None, None, clipped.values
        )
        self.queue.pending.append(step)
        self.alike = 0
        if self.signals is not None:
            self.signals.close()
        self.queue.emit_if_due(time.perf_counter())

    @never_raises
    def collect(self, index: int, gradient: torch.Tensor) -> None:
        """Collects the norm of this rank's gradient of the parameter with an index."""
        if self.local_gradients is not None:
            self.local_gradients.add(index, gradient)

    def _count_step(self, begin: float) -> bool:
        """Counts a step; returns whether the budget allows to measure it."""
        self.steps += 1
        if self.budget is None or self.budget.allows(begin):
            return True
        self.drop_raw_norms()
        return False

    def drop_raw_norms(self) -> None:
        """Forgets the norms from before clipping, and keeps the values for another step."""
        if (clipped := self.raw_norms.pop()) is not None:
            self.logged_values.restore(clipped.values)

    def _queue_step(
        self,
        begin: float,
        norms: NormsPerLayer,
        loss_scaling: LossScaling | None,
        skipped_loss_scale: float | None,
    ) -> None:
        """Queues a measured step, emits due steps, and charges the budget."""
        clipped = self.raw_norms.pop()
        signals: PendingSignals | None = None
        if not self._stopped:
            number, seconds = self.steps - 1, begin - self.start
            raw: Sequence[RawMeasurement] = ()
            values = self.logged_values.pop()
            if clipped is not None:
                values = {**clipped.values, **values}
                if self.local_gradients is None:  # else `norms` are from before clipping
                    raw = clipped.measurements
            if self.signals is not None:
                self.signals.close()
                if skipped_loss_scale is None:  # a skipped step changes nothing
                    signals = self.signals.open()
            step = PendingStep(
                number,
                seconds,
                norms,
                raw,
                loss_scaling,
                skipped_loss_scale,
                values,
                signals,
            )
            self.queue.pending.append(step)
            is_plain = (
                not (raw or values or self.signals or self.budget or self.local_gradients)
                and loss_scaling is None
                and skipped_loss_scale is None
                and type(norms) is LocalNorms
                and norms.snapshot.rows is not None
            )
            self.alike = self.alike + 1 if is_plain else 0
        if signals is None:  # else the step is emitted when these are complete
            self.queue.emit_if_due(begin)
        if self.budget is not None:
            self.budget.charge(begin)

    def close(self) -> None:
        """Emits all steps and removes the hooks, as `EmittingMonitor.close`."""
        if self.raw_norms.watch.discarded or self.raw_norms.watch.is_gone():
            self.record_discarded()
        super().close()

    def _stop(self) -> None:
        super()._stop()
        self.reader.withdraw()
