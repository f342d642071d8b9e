"""Where the hooks go, and which of their calls is a step.

Hooks of optimizers are kept out of torch.compile: a compiled step calls them, but is not
compiled any differently for them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.compiler import disable
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from gradsound.measure.norms import gradient_norms
from gradsound.measure.scaler import ScalerHandle
from gradsound.measure.tap import Tap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.measure.layers import Layer
    from gradsound.measure.tap import Emit


class OptimizerTap(Tap):
    """Hears an optimizer: the gradients that each of its steps applies.

    Args:
        layers: What to measure.
        optimizer: Whose steps to hear.
        emit: As for `Tap`.
    """

    def __init__(self, layers: Sequence[Layer], optimizer: Optimizer, emit: Emit) -> None:
        super().__init__(layers, emit)
        self._running: FrameType | None = None  # the call of step() that is under way
        self.handles = [
            optimizer.register_step_pre_hook(_uncompiled(self._before)),
            optimizer.register_step_post_hook(_uncompiled(self._after)),
        ]

    def _before(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        step = _frame_of_step()
        if self._running is not None and _is_within(step, self._running):
            return  # a subclass called super().step(): hooks fire twice
        self._running = step
        if not _has_closure(args, kwargs):
            self.safely(lambda: self.measure(optimizer))

    def _after(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if _frame_of_step() is not self._running:
            return
        self._running = None
        if _has_closure(args, kwargs):  # it made the gradients during the step
            self.safely(lambda: self.measure(optimizer))


class ModelTap(Tap):
    """Hears a model: gradients new since the last step of whichever optimizer has them.

    Optimizers that step during the backward pass, one for each parameter, are heard as one
    step at its end.

    Args:
        layers: What to measure.
        emit: As for `Tap`.
    """

    def __init__(self, layers: Sequence[Layer], emit: Emit) -> None:
        super().__init__(layers, emit)
        self._fresh: set[int] = set()
        self._held: dict[int, float] = {}  # norms of this backward pass, by parameter
        self._backward = -1  # the pass that they are of
        self.handles = [
            register_optimizer_step_pre_hook(_uncompiled(self._before)),
            register_optimizer_step_post_hook(_uncompiled(self._after)),
        ]
        parameters = [p for layer in layers for p in layer.parameters]
        self._index = {id(parameter): index for index, parameter in enumerate(parameters)}
        for index, parameter in enumerate(parameters):
            hook = _Mark(self._fresh, index)
            handle = parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
            self.handles.append(handle)

    def _before(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if not _has_closure(args, kwargs):
            self.safely(lambda: self._hear(optimizer))

    def _after(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if _has_closure(args, kwargs):  # it made the gradients during the step
            self.safely(lambda: self._hear(optimizer))

    def measure_skipped(self, optimizer: Optimizer, scale: float) -> None:
        """As `Tap.measure_skipped`, of the new gradients."""
        self._hear(optimizer, scale)

    def _hear(self, optimizer: Optimizer, skipped_at: float | None = None) -> None:
        backward = torch._C._current_graph_task_id()
        if backward >= 0:
            self._hold(optimizer, backward)
        elif self._fresh and any(True for _ in self._ours(optimizer)):
            self.measure(optimizer, self._fresh, skipped_at)
            self._fresh.clear()

    def _ours(self, optimizer: Optimizer) -> Iterator[tuple[int, torch.Tensor]]:
        """The optimizer's parameters that are measured here, with their indices."""
        for group in optimizer.param_groups:
            parameters: list[torch.Tensor] = group["params"]
            for parameter in parameters:
                index = self._index.get(id(parameter))
                if index is not None and self.parameters[index]() is parameter:
                    yield index, parameter

    def _hold(self, optimizer: Optimizer, backward: int) -> None:
        """Takes norms during a backward pass, to be emitted at its end."""
        for index, parameter in self._ours(optimizer):
            if backward != self._backward:
                self._backward = backward
                self._held.clear()  # of a pass that failed
                # As DistributedDataParallel does to learn of the end of a pass.
                torch.autograd.Variable._execution_engine.queue_callback(self._flush)
            if parameter.grad is not None:
                (self._held[index],) = gradient_norms([parameter.grad])

    def _flush(self) -> None:
        norms = np.zeros(len(self.parameters))
        none = np.ones(len(self.parameters), bool)
        for index, norm in self._held.items():
            norms[index], none[index] = norm, False
        self._fresh.difference_update(self._held)
        self._held.clear()
        self.safely(lambda: self.emit(norms, none))


class _Mark:
    """A hook that notes that a parameter has a new gradient."""

    def __init__(self, fresh: set[int], index: int) -> None:
        self._fresh, self._index = fresh, index

    def __call__(self, _: torch.Tensor) -> None:
        self._fresh.add(self._index)


def _has_closure(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the arguments of ``step(self, closure)`` have a closure."""
    return (args[1] if len(args) > 1 else kwargs.get("closure")) is not None


def _uncompiled(hook: Callable[..., None]) -> Callable[..., None]:
    return disable(hook)  # type: ignore[no-untyped-call, no-any-return]


def _frame_of_step() -> FrameType | None:
    """The call of ``step`` that called the hook that called this."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.endswith("eval_frame.py"):
        frame = frame.f_back  # that of disable()
    return frame


def _is_within(frame: FrameType | None, outer: FrameType) -> bool:
    while frame is not None and frame is not outer:
        frame = frame.f_back
    return frame is outer


def rank() -> int:
    """Which process of a distributed training this is; 0 if it is none."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank()
    return 0


def tap(
    layers: Sequence[Layer],
    optimizer: Optimizer | None,
    emit: Emit,
    scaler: GradScaler | None = None,
) -> Tap:
    """The tap that fits: of the optimizer if there is one, of the model if not."""
    made: Tap
    if optimizer is None:
        made = ModelTap(layers, emit)
    else:
        made = OptimizerTap(layers, optimizer, emit)
    if scaler is not None:
        made.handles.append(ScalerHandle(scaler, made, optimizer))
    return made
