"""Notices that a training throws clipped gradients away and applies none of them."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from gradsound.measure.layers import is_sharded

if TYPE_CHECKING:
    import torch
    from torch import nn


class GradientWatch:
    """Watches the gradient of one parameter from its clipping to the next step.

    A training throws gradients away by ``zero_grad()``, or by its own code: it sets them
    to None, or to 0 in place. Then comes the next backward pass. If that pass adds to the
    watched gradient, the training accumulates. If the pass makes another tensor, or if
    other code changed the watched one before, the gradient was thrown away.

    A hook on the parameter runs in each backward pass. It compares two references and two
    numbers, so the host never waits.

    Attributes:
        discarded: Whether the training threw the watched gradient away.
    """

    def __init__(self) -> None:
        self.discarded = False
        self._parameter: weakref.ref[nn.Parameter] | None = None
        self._gradient: weakref.ref[torch.Tensor] | None = None  # while it is watched
        self._version: int | None = None  # how often it was changed; None if unknown
        self._sharded = False  # the parameter, among ranks
        self._handle: Any = None

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
        self._version, self.discarded = None, False
        return True

    def start(self, parameter: nn.Parameter) -> None:
        """Watches the current gradient of a parameter."""
        if self._parameter is None or self._parameter() is not parameter:
            self.remove()
            self._parameter = weakref.ref(parameter)
            self._sharded = is_sharded(parameter)
            self._handle = parameter.register_post_accumulate_grad_hook(self._hook)  # type: ignore[no-untyped-call]
        self.restart()

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

    def _hook(self, parameter: torch.Tensor) -> None:
        """Compares the watched gradient with that after a backward pass; never raises."""
        if self._gradient is None:
            return
        try:
            gradient = parameter.grad
            if gradient is None or gradient is not self._gradient():
                self.discarded = True
            elif self._version is not None:
                self.discarded = gradient._version != self._version + 1
                self._version = None  # later passes of an accumulation prove nothing
            if self.discarded:
                self._gradient = None
        except Exception:  # noqa: BLE001 (training must go on after any error)
            self.stop()

    def is_gone(self) -> bool:
        """Returns whether the watched parameter has no gradient any more."""
        return (parameter := self.parameter) is not None and parameter.grad is None

    def stop(self) -> None:
        """Stops watching; the hook stays for the next clipping."""
        self._gradient, self.discarded = None, False

    def remove(self) -> None:
        """Removes the hook."""
        self.stop()
        self._parameter = None
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
