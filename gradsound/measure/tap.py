"""The hooks: what they hear at each step of the optimizer, and that they never fail.

Shapes: L layers.
"""

from __future__ import annotations

import sys
import traceback
import weakref
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from gradsound.errors import warn
from gradsound.measure.norms import gradient_norms, layer_norms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from numpy.typing import NDArray
    from torch.optim import Optimizer

    from gradsound.measure.layers import Layer

    Emit: TypeAlias = Callable[[NDArray[np.float32], NDArray[np.bool_]], None]


class Tap:
    """Measures layers and emits their norms, until closed.

    It is reached from hooks only, which go when the optimizer or the model goes, and it
    keeps no parameter alive.

    Args:
        layers: What to measure.
        emit: Called in the training thread with norms and which are absent, both (L,).
    """

    def __init__(self, layers: Sequence[Layer], emit: Emit) -> None:
        self._parameters = [weakref.ref(p) for layer in layers for p in layer.parameters]
        sizes = [len(layer.parameters) for layer in layers]
        self._first = np.cumsum([0, *sizes[:-1]])
        self._emit = emit
        self._handles: list[Any] = []

    def close(self) -> None:
        """Removes every hook. A second call does nothing."""
        while self._handles:
            self._handles.pop().remove()

    def _measure(self, fresh: set[int] | None = None) -> None:
        """Takes and emits the norms, of the ``fresh`` parameters only if given."""
        gradients = []
        for index, parameter in enumerate(self._parameters):
            alive = parameter() if fresh is None or index in fresh else None
            gradients.append(None if alive is None else alive.grad)
        none = np.array([gradient is None for gradient in gradients])
        norms = np.where(none, 0.0, gradient_norms(gradients))
        absent = np.logical_and.reduceat(none, self._first)
        with np.errstate(over="ignore"):  # float64 norms above 3.4e38 become infinite
            values = layer_norms(norms, self._first).astype(np.float32)
        self._emit(np.where(absent, np.float32(np.nan), values), absent)

    def _safely(self, act: Callable[[], None]) -> None:
        """Does what a hook has to do; an exception ends the measuring, not training."""
        try:
            with torch.no_grad():
                act()
        except Exception:  # noqa: BLE001 (whatever it is, training must go on)
            self.close()
            warn(
                "an error ended the measuring; training goes on, what was recorded so far "
                f"is kept:\n{traceback.format_exc()}"
            )


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
        self._handles = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
        ]

    def _before(self, _: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        caller = sys._getframe(1)
        if self._running is not None and _is_within(caller, self._running):
            return  # a subclass called super().step(): hooks fire twice
        self._running = caller
        if not _has_closure(args, kwargs):
            self._safely(self._measure)

    def _after(self, _: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if sys._getframe(1) is not self._running:
            return
        self._running = None
        if _has_closure(args, kwargs):  # it made the gradients during the step
            self._safely(self._measure)


class ModelTap(Tap):
    """Hears a model: gradients new since the last step of whichever optimizer has them.

    Args:
        layers: What to measure.
        emit: As for `Tap`.
    """

    def __init__(self, layers: Sequence[Layer], emit: Emit) -> None:
        super().__init__(layers, emit)
        self._fresh: set[int] = set()
        self._handles = [
            register_optimizer_step_pre_hook(self._before),
            register_optimizer_step_post_hook(self._after),
        ]
        parameters = (p for layer in layers for p in layer.parameters)
        for index, parameter in enumerate(parameters):
            hook = _Mark(self._fresh, index)
            handle = parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
            self._handles.append(handle)

    def _before(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if not _has_closure(args, kwargs):
            self._safely(lambda: self._measure_fresh(optimizer))

    def _after(self, optimizer: Optimizer, *_: Any) -> None:
        self._safely(lambda: self._measure_fresh(optimizer))  # after a closure

    def _measure_fresh(self, optimizer: Optimizer) -> None:
        if not self._fresh:
            return
        ours = {id(parameter()) for parameter in self._parameters}
        groups = optimizer.param_groups
        if any(id(parameter) in ours for g in groups for parameter in g["params"]):
            self._measure(self._fresh)
            self._fresh.clear()


class _Mark:
    """A hook that notes that a parameter has a new gradient."""

    def __init__(self, fresh: set[int], index: int) -> None:
        self._fresh, self._index = fresh, index

    def __call__(self, _: torch.Tensor) -> None:
        self._fresh.add(self._index)


def _has_closure(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the arguments of ``step(self, closure)`` have a closure."""
    return (args[1] if len(args) > 1 else kwargs.get("closure")) is not None


def _is_within(frame: FrameType | None, outer: FrameType) -> bool:
    while frame is not None and frame is not outer:
        frame = frame.f_back
    return frame is outer


def tap(layers: Sequence[Layer], optimizer: Optimizer | None, emit: Emit) -> Tap:
    """The tap that fits: of the optimizer if there is one, of the model if not."""
    if optimizer is None:
        return ModelTap(layers, emit)
    return OptimizerTap(layers, optimizer, emit)
