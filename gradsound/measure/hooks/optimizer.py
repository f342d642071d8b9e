"""Hooks on one optimizer: measures the gradients that each of its steps applies."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from gradsound.measure.distributed.ranks import rank_count
from gradsound.measure.hooks.closure import has_closure, observe_closure
from gradsound.measure.hooks.guards import never_raises
from gradsound.measure.hooks.monitor import GradientMonitor
from gradsound.measure.hooks.optimizer_wrappers import find_inner_optimizers
from gradsound.measure.hooks.parts import DEFAULT_PARTS, MonitorParts
from gradsound.measure.hooks.signal_hooks import begin_signals, end_signals
from gradsound.measure.hooks.step_hooks import StepHook, frame_of_step, is_within
from gradsound.measure.layers import parameter_ids

if TYPE_CHECKING:
    from types import FrameType

    from torch.optim import Optimizer

    from gradsound.measure.hooks.closure import Arguments
    from gradsound.measure.parameter_tracker import ParameterTracker
    from gradsound.measure.step_queue import Emit


class OptimizerMonitor(GradientMonitor):
    """Measures each step of one optimizer, and of those that join it.

    Args:
        tracker: As for `GradientMonitor`.
        optimizer: The optimizer.
        emit: As for `GradientMonitor`.
        budget: As for `GradientMonitor`.
        parts: As for `GradientMonitor`.
    """

    def __init__(
        self,
        tracker: ParameterTracker,
        optimizer: Optimizer,
        emit: Emit,
        budget: float | None = None,
        parts: MonitorParts = DEFAULT_PARTS,
    ) -> None:
        super().__init__(tracker, emit, budget, parts)
        self.outer_step: FrameType | None = None  # the step in progress, if steps may nest
        inner = find_inner_optimizers(optimizer)
        self.steps_may_nest = bool(inner)
        for one in (optimizer, *inner):  # a wrapper may step, or its training the inner one
            _StepHooks(self, one, only_own=False)

    def join(self, optimizer: Optimizer) -> None:
        """Measures the steps of another optimizer too, and of it only its parameters."""
        self.steps_may_nest = True
        _StepHooks(self, optimizer, only_own=True)

    @never_raises
    def begin_repetition(self, optimizer: Optimizer, hook: StepHook) -> None:
        """Lets machine code alone measure the next steps, if nothing else may change.

        Args:
            optimizer: The optimizer, which has no closure and nests no steps.
            hook: The hook on its steps.
        """
        scales = getattr(optimizer, "_step_supports_amp_scaling", False)
        if not self.tracker.any_frozen and not scales and rank_count() == 1:
            self.repeated.begin(optimizer, hook, self.steps)
            if self.logged_values:  # since the step that the hook measured
                self.repeated.pause()


class _StepHooks:
    """The hooks on one optimizer.

    Args:
        monitor: Measures the steps.
        optimizer: The optimizer.
        only_own: Whether gradients of other optimizers' parameters do not count.
    """

    def __init__(
        self, monitor: OptimizerMonitor, optimizer: Optimizer, *, only_own: bool
    ) -> None:
        self._monitor, self._only_own = monitor, only_own
        classes_with_step = sum("step" in vars(kind) for kind in type(optimizer).__mro__)
        # A subclass of a subclass of Optimizer may call super().step().
        self._calls_super = classes_with_step > 2
        self._has_post_hook = False
        self._hook = StepHook(optimizer.register_step_pre_hook, self._before_step)
        monitor.handles.append(self._hook)

    @property
    def _may_nest(self) -> bool:
        """Whether this step may be within another one; then the outer step counts."""
        return self._calls_super or self._monitor.steps_may_nest

    def _before_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arguments | None:
        """Measures, or hands on an observed closure, which makes the gradients."""
        monitor, may_nest = self._monitor, self._may_nest
        if monitor.repeated.active:
            monitor.end_repetition()
        if may_nest:
            step = frame_of_step()
            outer = monitor.outer_step
            if outer is not None and is_within(step, outer):
                return None  # super().step() fires the hooks a second time
            monitor.outer_step = step
        closure = has_closure(args, kwargs)
        if not self._has_post_hook and (closure or may_nest or monitor.signals is not None):
            self._has_post_hook = True  # registered only if needed: each hook costs time
            hook = StepHook(optimizer.register_step_post_hook, self._after_step)
            monitor.handles.append(hook)
        if monitor.in_closure:  # the last step did not come to its end
            monitor.closure_norms.pop()
        monitor.in_closure = closure
        if not closure:
            monitor.measure(optimizer, self._fresh(optimizer) if self._only_own else None)
            if monitor.between_steps is not None:
                self._call_between_steps()
            elif monitor.alike > 1 and not may_nest:
                monitor.begin_repetition(optimizer, self._hook)
        if monitor.signals is not None:
            begin_signals(monitor, optimizer)
        if not closure:
            return None
        after = partial(self._monitor.after_closure, self._fresh(optimizer))
        return observe_closure(args, kwargs, after)

    def _after_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if self._may_nest and frame_of_step() is not self._monitor.outer_step:
            return
        self._monitor.outer_step = None
        closed = has_closure(args, kwargs)
        if closed:
            self._monitor.measure(optimizer, self._fresh(optimizer))
            self._monitor.in_closure = False
        end_signals(self._monitor, optimizer, alone=True)
        if closed:
            self._monitor.call_between_steps()

    def _call_between_steps(self) -> None:
        try:
            self._monitor.call_between_steps()
        except BaseException:  # then this step does not begin
            self._monitor.outer_step = None
            raise

    def _fresh(self, optimizer: Optimizer) -> set[int] | None:
        """Returns the ids of the parameters whose gradients count; None if all do."""
        return parameter_ids([optimizer]) if self._only_own else None
