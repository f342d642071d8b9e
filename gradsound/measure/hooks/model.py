"""Hooks on a model with any number of optimizers: measures at the step of any of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from gradsound.measure.hooks.closure import has_closure, observe_closure
from gradsound.measure.hooks.guards import never_raises
from gradsound.measure.hooks.monitor import GradientMonitor
from gradsound.measure.hooks.parts import DEFAULT_PARTS, MonitorParts
from gradsound.measure.hooks.signal_hooks import begin_signals, end_signals
from gradsound.measure.hooks.step_hooks import StepHook, frame_of_step, is_within
from gradsound.measure.norms.snapshot import NormCollector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.measure.hooks.closure import Arguments
    from gradsound.measure.hooks.unhooked import UnhookedGradients
    from gradsound.measure.parameter_tracker import ParameterTracker
    from gradsound.measure.step_queue import Emit

_FOREIGN_STEPS = 100  # of other optimizers; then the parameters may have been replaced


class ModelMonitor(GradientMonitor):
    """Measures a model's fresh gradients: those that are new since the last step.

    A step is a step of any optimizer that has some of the fresh gradients' parameters. If
    optimizers step during the backward pass, one for each parameter, the whole backward
    pass is one step.

    Args:
        tracker: As for `GradientMonitor`.
        optimizers: If there are any, steps of other optimizers do not count.
        emit: As for `GradientMonitor`.
        budget: As for `GradientMonitor`.
        parts: As for `GradientMonitor`.

    Attributes:
        unhooked: Notices gradients that no hook sees; None if the training makes none.
    """

    def __init__(
        self,
        tracker: ParameterTracker,
        optimizers: Sequence[Optimizer],
        emit: Emit,
        budget: float | None = None,
        parts: MonitorParts = DEFAULT_PARTS,
    ) -> None:
        self._fresh: set[int] = set()  # ids of parameters
        self._indices: dict[int, int] = {}  # of measured parameters, by id
        self._parameter_hooks: list[Any] = []
        self._collector = NormCollector()  # of the backward pass in progress
        self._backward = -1  # number of that backward pass
        self._foreign_steps = 0
        self.unhooked: UnhookedGradients | None = None
        # The frame of a step that calls a closure, and the id of its optimizer.
        self._closure_step: tuple[FrameType | None, int] = None, 0
        self._outer_step: FrameType | None = None  # the step whose signals are read
        super().__init__(tracker, emit, budget, parts)
        for optimizer in optimizers:
            self.join(optimizer)
        if not optimizers:
            self.handles += [
                StepHook(register_optimizer_step_pre_hook, self._before_step),
                StepHook(register_optimizer_step_post_hook, self._after_step),
            ]

    def join(self, optimizer: Optimizer) -> None:
        """Measures the fresh gradients at each step of an optimizer."""
        self.handles += [
            StepHook(optimizer.register_step_pre_hook, self._before_step),
            StepHook(optimizer.register_step_post_hook, self._after_step),
        ]

    def mark_present(self) -> None:
        """Takes the gradients that exist for fresh ones: no hook saw how they were made."""
        for parameter in self.tracker.alive_parameters():
            if parameter is not None and parameter.grad is not None:
                self._fresh.add(id(parameter))

    def update_parameters(self) -> None:
        """Moves to the tracker's current parameters, and the hooks on parameters too."""
        super().update_parameters()
        for hook in self._parameter_hooks:
            hook.remove()
            self.handles.remove(hook)
        known, self._indices, self._parameter_hooks = self._indices, {}, []
        for index, parameter in enumerate(self.tracker.alive_parameters()):
            if parameter is None or not parameter.requires_grad:
                continue
            self._indices[id(parameter)] = index
            if known and id(parameter) not in known and parameter.grad is not None:
                self._fresh.add(id(parameter))  # no hook was there when it was made
            mark = _FreshHook(self._fresh, id(parameter))
            handle = parameter.register_post_accumulate_grad_hook(mark)  # type: ignore[no-untyped-call]
            self._parameter_hooks.append(handle)
        self.handles += self._parameter_hooks

    def measure_skipped(self, optimizer: Optimizer, scaler: GradScaler) -> None:
        """Measures the fresh gradients of a step that a GradScaler skipped."""
        self._measure_fresh(optimizer, scaler)

    def _before_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arguments | None:
        """Measures, or hands on an observed closure, which makes the gradients."""
        outer, stepping = self._closure_step
        if outer and stepping == id(optimizer) and is_within(frame_of_step(), outer):
            return None  # super().step() applies what the closure made
        self.in_closure = has_closure(args, kwargs)
        self.closure_norms.pop()
        step = frame_of_step()
        is_inner = self._outer_step is not None and is_within(step, self._outer_step)
        if not self.in_closure:
            steps = self.steps
            self._measure_fresh(optimizer)
            if self.steps > steps:  # else another optimizer has made a part of the step
                self.call_between_steps()
        if self.signals is not None and not is_inner:
            self._outer_step = step
            begin_signals(self, optimizer)
        if not self.in_closure:
            return None
        self._closure_step = step, id(optimizer)
        return observe_closure(args, kwargs, partial(self.after_closure, self._fresh))

    def _after_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        step = frame_of_step()
        closed = has_closure(args, kwargs) and step is self._closure_step[0]
        if closed:
            self._measure_fresh(optimizer)
            self.in_closure, self._closure_step = False, (None, 0)
        if self._outer_step is not None and step is self._outer_step:
            self._outer_step = None
            end_signals(self, optimizer, alone=False)
        if closed:
            self.call_between_steps()

    @never_raises
    def _measure_fresh(
        self, optimizer: Optimizer, scaler: GradScaler | None = None
    ) -> None:
        backward = torch._C._current_graph_task_id()
        if backward >= 0:
            self._collect_in_backward(optimizer, backward)
            return
        if self.unhooked is not None:
            own = (parameter for _, parameter in self._measured_parameters(optimizer))
            if self.unhooked.find_new(own):
                self._fresh |= self.unhooked.find_new(self.tracker.alive_parameters())
        if not self._fresh:
            if self._foreign_steps % _FOREIGN_STEPS == 0 and self.tracker.refresh():
                self.update_parameters()
            self._foreign_steps += 1
        has_measured = any(True for _ in self._measured_parameters(optimizer))
        if self._fresh and has_measured:
            self.tracker.stepped.add(optimizer)
            loss_scale = None if scaler is None else scaler.get_scale()
            self.measure(optimizer, self._fresh, loss_scale)
            self._fresh.clear()
            if self.unhooked is not None:
                self.unhooked.remember(self.tracker.alive_parameters())
        elif not has_measured:
            self.missing_steps.strangers.add(type(optimizer).__name__)
        else:
            self.missing_steps.idle.add(type(optimizer).__name__)
            if self.raw_norms.are_of(optimizer):  # a step of another one had its norms
                self.drop_raw_norms()

    def _measured_parameters(
        self, optimizer: Optimizer
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Yields the optimizer's parameters that this monitor measures, with indices."""
        for group in optimizer.param_groups:
            parameters: list[torch.Tensor] = group["params"]
            for parameter in parameters:
                index = self._indices.get(id(parameter))
                if index is not None and self.tracker.parameters[index]() is parameter:
                    yield index, parameter

    def _collect_in_backward(self, optimizer: Optimizer, backward: int) -> None:
        """Collects norms during a backward pass, which is one step when it ends."""
        for index, parameter in self._measured_parameters(optimizer):
            if backward != self._backward:
                self._backward = backward
                self._collector.norms.clear()  # a backward pass that failed leaves some
                # DistributedDataParallel notices the end of a backward pass like this.
                torch.autograd.Variable._execution_engine.queue_callback(self._end_backward)
            if (gradient := self.reader.local_gradient(parameter)) is not None:
                self._collector.add(index, gradient)
                self._fresh.discard(id(parameter))

    def _end_backward(self) -> None:
        self.measure_collected(self._collector, None)
        self.call_between_steps()  # every optimizer has stepped


class _FreshHook:
    """A hook of one parameter that marks its gradient as fresh."""

    def __init__(self, fresh: set[int], parameter: int) -> None:
        self._fresh, self._parameter = fresh, parameter

    def __call__(self, _: torch.Tensor) -> None:
        self._fresh.add(self._parameter)
