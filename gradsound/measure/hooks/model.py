"""Steps of a model, whichever optimizers it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from gradsound.measure.hooks.base import GradientMonitor
from gradsound.measure.hooks.guards import has_closure, never_raises, uncompiled
from gradsound.measure.norms.snapshot import NormCollector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.measure.parameter_tracker import ParameterTracker
    from gradsound.measure.step_queue import Emit

_IDLE = 100  # steps of other optimizers; then it may be that parameters were replaced


class ModelMonitor(GradientMonitor):
    """Hears a model: gradients new since the last step of whichever optimizer has them.

    Optimizers that step during the backward pass, one for each parameter, are heard as one
    step at its end.

    Args:
        census: As for `GradientMonitor`.
        emit: As for `GradientMonitor`.
        budget: As for `GradientMonitor`.
    """

    def __init__(
        self, tracker: ParameterTracker, emit: Emit, budget: float | None = None
    ) -> None:
        self._fresh: set[int] = set()  # ids of parameters
        self._index: dict[int, int] = {}  # by id, of those that are heard
        self._marks: list[Any] = []  # hooks of parameters
        self._collector = NormCollector()  # of the backward pass that goes on
        self._backward = -1  # its number
        self._idle = 0
        super().__init__(tracker, emit, budget)
        self.handles += [
            register_optimizer_step_pre_hook(uncompiled(self._before)),
            register_optimizer_step_post_hook(uncompiled(self._after)),
        ]

    def rebind(self) -> None:
        """Adapts to other parameters than before: those have to tell of new gradients."""
        super().rebind()
        for mark in self._marks:
            mark.remove()
            self.handles.remove(mark)
        known, self._index, self._marks = self._index, {}, []
        for index, reference in enumerate(self.tracker.parameters):
            parameter = reference()
            if parameter is None or not parameter.requires_grad:
                continue
            self._index[id(parameter)] = index
            if known and id(parameter) not in known and parameter.grad is not None:
                self._fresh.add(id(parameter))  # nobody was there to see it come
            hook = _Mark(self._fresh, id(parameter))
            self._marks.append(parameter.register_post_accumulate_grad_hook(hook))  # type: ignore[no-untyped-call]
        self.handles += self._marks

    def _before(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if not has_closure(args, kwargs):
            self._hear(optimizer)

    def _after(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if has_closure(args, kwargs):  # it made the gradients during the step
            self._hear(optimizer)

    def measure_skipped(self, optimizer: Optimizer, scaler: GradScaler) -> None:
        """As `GradientMonitor.measure_skipped`, of the new gradients."""
        self._hear(optimizer, scaler)

    @never_raises
    def _hear(self, optimizer: Optimizer, scaler: GradScaler | None = None) -> None:
        backward = torch._C._current_graph_task_id()
        if backward >= 0:
            self._hold(optimizer, backward)
            return
        if not self._fresh:
            if self._idle % _IDLE == 0 and self.tracker.refresh():
                self.rebind()
            self._idle += 1
        if self._fresh and any(True for _ in self._ours(optimizer)):
            skipped_at = None if scaler is None else scaler.get_scale()
            self.measure(optimizer, self._fresh, skipped_at)
            self._fresh.clear()

    def _ours(self, optimizer: Optimizer) -> Iterator[tuple[int, torch.Tensor]]:
        """The optimizer's parameters that are measured here, with their indices."""
        for group in optimizer.param_groups:
            parameters: list[torch.Tensor] = group["params"]
            for parameter in parameters:
                index = self._index.get(id(parameter))
                if index is not None and self.tracker.parameters[index]() is parameter:
                    yield index, parameter

    def _hold(self, optimizer: Optimizer, backward: int) -> None:
        """Takes norms during a backward pass, to be emitted at its end."""
        for index, parameter in self._ours(optimizer):
            if backward != self._backward:
                self._backward = backward
                self._collector.norms.clear()  # of a pass that failed
                # As DistributedDataParallel does to learn of the end of a pass.
                torch.autograd.Variable._execution_engine.queue_callback(self._flush)
            if (gradient := self.part_of(parameter)) is not None:
                self._collector.put(index, gradient)
                self._fresh.discard(id(parameter))

    def _flush(self) -> None:
        self.measure_collected(self._collector, None)


class _Mark:
    """A hook that notes that a parameter has a new gradient."""

    def __init__(self, fresh: set[int], parameter: int) -> None:
        self._fresh, self._parameter = fresh, parameter

    def __call__(self, _: torch.Tensor) -> None:
        self._fresh.add(self._parameter)
