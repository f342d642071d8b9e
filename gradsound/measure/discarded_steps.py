"""Notices that a training throws clipped gradients away and applies none of them."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch

from gradsound.measure.layers import is_sharded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn


class DiscardWatch:
    """Watches the gradient of one parameter from its clipping to the next step.

    A training throws gradients away by ``zero_grad()``, or by its own code: it sets them
    to None, or to 0 in place. Then comes the next backward pass. If that pass adds to the
    watched gradient, the training accumulates. If the pass makes another tensor, or if
    other code changed the watched one before, the gradient was thrown away.

    A hook on the parameter runs in each backward pass. It compares two references and two
    numbers, so the host never waits. After `GradientMonitor.before_clip` alone, the number
    of changes is unknown, because the user's clipping changes the gradient too. So
    ``zero_grad()`` reports itself, and in host memory a second hook looks whether the
    gradient is 0. On an accelerator, the host would have to wait for that.

    Attributes:
        discarded: Whether the training threw the watched gradient away.
        accumulated: Whether a backward pass added to the watched gradient.
    """

    def __init__(self) -> None:
        self.discarded = self.accumulated = False
        self._parameter: weakref.ref[nn.Parameter] | None = None
        self._gradient: weakref.ref[torch.Tensor] | None = None  # while it is watched
        self._version: int | None = None  # how often it was changed; None if unknown
        self._sharded = False  # the parameter, among ranks
        self._handles: list[Any] = []

    @property
    def parameter(self) -> nn.Parameter | None:
        """The watched parameter; None if no gradient is watched."""
        watches = self._parameter is not None and self._gradient is not None
        return self._parameter() if watches else None  # type: ignore[misc]

    def restart(self) -> bool:
        """Watches the same parameter again; returns whether it has a gradient."""
        parameter = None if self._parameter is None else self._parameter()
        if parameter is None or parameter.grad is None:
            return False
        self._gradient = weakref.ref(parameter.grad)
        self._version, self.accumulated, self.discarded = None, False, False
        return True

    def start(self, parameter: nn.Parameter) -> None:
        """Watches the current gradient of a parameter."""
        if self._parameter is None or self._parameter() is not parameter:
            self.remove()
            self._parameter = weakref.ref(parameter)
            self._sharded = is_sharded(parameter)
            self._handles = [
                parameter.register_post_accumulate_grad_hook(self._after_backward)  # type: ignore[no-untyped-call]
            ]
        self.restart()

    def look_for_zeros(self) -> None:
        """Makes each backward pass look whether the watched gradient is 0.

        It does nothing on an accelerator and for sharded parameters.
        """
        parameter = self.parameter
        if parameter is None or not parameter.is_cpu or self._sharded:
            return
        if len(self._handles) == 1:
            hook = parameter.register_hook(self._before_accumulation)  # type: ignore[no-untyped-call]
            self._handles.append(hook)

    def after_clip(self) -> None:
        """Keeps the state of the watched gradient after the clipping; never raises."""
        if self._gradient is None or self._sharded:  # shards change without a count
            return
        try:
            gradient = self._gradient()
            if gradient is not None and not gradient._is_view():  # counts with its base
                self._version = gradient._version
        except Exception:  # noqa: BLE001 (training must go on after any error)
            self.stop()

    def before_zero_grad(
        self, parameters_of: Callable[[Any], Iterable[torch.Tensor]], owner: object
    ) -> None:
        """Notes whether a ``zero_grad()`` throws the watched gradient away; never raises.

        Args:
            parameters_of: Returns the parameters of an owner.
            owner: The optimizer or the model whose method is called.
        """
        if self._gradient is None:  # nearly always
            return
        try:
            watched = self.parameter
            if any(p is watched for p in parameters_of(owner)):
                self._discard()
        except Exception:  # noqa: BLE001 (training must go on after any error)
            self.stop()

    def _before_accumulation(self, _: torch.Tensor) -> None:
        """Looks whether the watched gradient is 0 in place; never raises."""
        if self._gradient is None or self._version is not None or self.accumulated:
            return
        try:
            parameter = self.parameter
            gradient = None if parameter is None else parameter.grad
            if (
                gradient is not None
                and gradient is self._gradient()
                and gradient.layout is torch.strided
                and not gradient.any()
            ):
                self._discard()
        except Exception:  # noqa: BLE001 (training must go on after any error)
            self.stop()

    def _after_backward(self, parameter: torch.Tensor) -> None:
        """Compares the watched gradient with that after a backward pass; never raises."""
        if self._gradient is None:
            return
        try:
            gradient = parameter.grad
            if (
                gradient is None
                or gradient is not self._gradient()
                or self._version not in (None, gradient._version - 1)
            ):
                self._discard()
            # Later passes of an accumulation prove nothing.
            self._version, self.accumulated = None, True
        except Exception:  # noqa: BLE001 (training must go on after any error)
            self.stop()

    def is_gone(self) -> bool:
        """Returns whether the watched parameter has no gradient any more."""
        return (parameter := self.parameter) is not None and parameter.grad is None

    def _discard(self) -> None:
        self.discarded, self._gradient = True, None

    def stop(self) -> None:
        """Stops watching; the hooks stay for the next clipping."""
        self._gradient, self.discarded = None, False

    def remove(self) -> None:
        """Removes the hooks."""
        self.stop()
        self._parameter = None
        while self._handles:
            self._handles.pop().remove()
