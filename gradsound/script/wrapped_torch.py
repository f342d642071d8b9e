"""Functions of torch that also tell the found trainings what a script does."""

from __future__ import annotations

import functools
import os
import weakref
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from gradsound.attachment import listen_to_attaching
from gradsound.measure.hooks.clipping import listen_to_clipping
from gradsound.measure.hooks.closure import has_closure
from gradsound.measure.hooks.guards import never_raises
from gradsound.measure.hooks.step_hooks import StepHook

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from gradsound.script.backward_loss import BackwardLoss


class Observer(Protocol):
    """Learns what a script does; its methods may raise, which ends the observation."""

    def add(self, optimizer: Optimizer) -> None:
        """Learns of a new optimizer."""

    def before_step(
        self,
        optimizer: Optimizer,
        scaler: GradScaler | None = None,
        *,
        closure: bool = False,
    ) -> None:
        """Learns that an optimizer or its scaler is about to step."""

    def after_closure(self, optimizer: Optimizer) -> None:
        """Learns that a step with a closure is over."""

    def before_clip(self, parameters: Sequence[Tensor]) -> None:
        """Learns that gradients are about to be clipped."""

    def before_attach(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        """Learns that something is about to attach to a model."""

    def stop_after_error(self) -> None:
        """Learns that it learns nothing more, because of the exception in progress."""


class WrappedTorch:
    """Hooks and replacements in torch, until they are removed.

    A hook of all optimizers sees their steps. Replacements see what has no hook: new
    optimizers, backward passes, and the GradScaler, which may skip the first step.

    Args:
        observer: Is told.
        loss: Notes the losses.

    Attributes:
        stopped: Whether nothing is told any more: after an error, or in a forked process.
    """

    def __init__(self, observer: Observer, loss: BackwardLoss) -> None:
        self._observer, self._loss, self.stopped = observer, loss, False
        self._with_closure: weakref.WeakSet[Optimizer] = weakref.WeakSet()
        os.register_at_fork(after_in_child=_at_fork(weakref.ref(self)))
        self._closure_hooks: list[StepHook] = []
        self._undo: list[Callable[[], None]] = [
            StepHook(register_optimizer_step_pre_hook, self._before_step).remove,
            listen_to_clipping(self._before_clip),
            listen_to_attaching(self._before_attach),
            _replace(Optimizer, "__init__", self._init),
            _replace(torch.autograd, "backward", self._backward),
            _replace(GradScaler, "scale", self._scale),
            _replace(GradScaler, "step", self._scaler_step),
        ]

    def remove(self) -> None:
        """Restores torch as it was. A second call does nothing."""
        self.stopped = True
        while self._undo:
            self._undo.pop()()
        while self._closure_hooks:
            self._closure_hooks.pop().remove()

    def stop_after_error(self) -> None:
        """Tells nothing more, because of the exception in progress."""
        self.stopped = True
        self._observer.stop_after_error()

    def _before_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if self.stopped:
            return
        closure = has_closure(args, kwargs)
        if closure and optimizer not in self._with_closure:
            # Registered before the hooks of a run, so that these find the loss.
            self._with_closure.add(optimizer)
            hook = StepHook(optimizer.register_step_post_hook, self._after_closure)
            self._closure_hooks.append(hook)
        self._tell(self._observer.before_step, optimizer, closure=closure)

    def _after_closure(self, optimizer: Optimizer, *_: object) -> None:
        if not self.stopped:
            self._tell(self._observer.after_closure, optimizer)

    def _before_clip(self, parameters: Sequence[Tensor]) -> None:
        if not self.stopped:
            self._tell(self._observer.before_clip, parameters)

    def _before_attach(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        if not self.stopped:
            self._tell(self._observer.before_attach, model, optimizers)

    @never_raises
    def _tell(self, /, told: Callable[..., None], *args: object, **kwargs: object) -> None:
        told(*args, **kwargs)

    def _init(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def init(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
            function(optimizer, *args, **kwargs)
            if not self.stopped:
                self._tell(self._observer.add, optimizer)

        return init

    def _backward(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def backward(tensors: Any, *args: Any, **kwargs: Any) -> Any:
            if not (self.stopped or torch.compiler.is_compiling()):
                self._loss.note(tensors)
            return function(tensors, *args, **kwargs)

        return backward

    def _scale(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def scale(scaler: GradScaler, outputs: Any) -> Any:
            scaled = function(scaler, outputs)
            if not self.stopped:
                self._tell(self._loss.note_scaled, scaler, outputs, scaled)
            return scaled

        return scale

    def _scaler_step(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def step(
            scaler: GradScaler, optimizer: Optimizer, *args: Any, **kwargs: Any
        ) -> Any:
            if self.stopped or not scaler.is_enabled():
                return function(scaler, optimizer, *args, **kwargs)
            before = vars(scaler).get("step")
            self._tell(self._observer.before_step, optimizer, scaler)
            if vars(scaler).get("step") is not before:  # replaced by a run that just began
                return scaler.step(optimizer, *args, **kwargs)
            return function(scaler, optimizer, *args, **kwargs)

        return step


def _at_fork(reference: weakref.ref[WrappedTorch]) -> Callable[[], None]:
    """Returns what stops it in a forked process; such a function cannot be removed."""

    def stop() -> None:
        if (wrapped := reference()) is not None:
            wrapped.stopped = True

    return stop


def _replace(
    owner: Any, name: str, wrap: Callable[..., Callable[..., Any]]
) -> Callable[[], None]:
    """Replaces a function by a wrapped one; returns what restores it."""
    function = getattr(owner, name)
    replacement = wrap(function)
    setattr(owner, name, replacement)

    def restore() -> None:
        if getattr(owner, name) is replacement:  # else other code replaced it since
            setattr(owner, name, function)

    return restore
