"""Norms from before gradients are clipped: heard by standing in for torch's functions.

The moment is the right one for any loop: what is clipped is whole by then, reduced over
ranks and unscaled, which no hook of the backward pass can know.
"""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import utils

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gradsound.measure.hooks.base import GradientMonitor

_NAMES = ("clip_grad_norm_", "clip_grad_value_")
_PLACES = (utils, utils.clip_grad)
_listening: weakref.WeakSet[GradientMonitor] = weakref.WeakSet()


class ClipHandle:
    """Has a tap measure before ``torch.nn.utils`` clips, until removed.

    While there is one, the functions of that module are ours, which do what they did.
    Functions that were imported by name before are not reached.

    Args:
        tap: Whom to tell.
    """

    def __init__(self, monitor: GradientMonitor) -> None:
        self._monitor = monitor
        _listening.add(monitor)
        for place in _PLACES:
            for name in _NAMES:
                function = getattr(place, name)
                if not hasattr(function, "gradsound_original"):
                    setattr(place, name, _telling(function))

    def remove(self) -> None:
        """Takes it off again, and with the last one what stands in."""
        _listening.discard(self._monitor)
        if _listening:
            return
        for place in _PLACES:
            for name in _NAMES:
                original = getattr(getattr(place, name), "gradsound_original", None)
                if original is not None:  # not covered by somebody else's
                    setattr(place, name, original)


def _telling(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def clip(
        parameters: torch.Tensor | Iterable[torch.Tensor], *args: Any, **kwargs: Any
    ) -> Any:
        if not torch.compiler.is_compiling():  # there it would break the graph
            if not isinstance(parameters, torch.Tensor):
                parameters = list(parameters)
            given = [parameters] if isinstance(parameters, torch.Tensor) else parameters
            for monitor in [*_listening]:
                monitor.before_clip(given)
        return function(parameters, *args, **kwargs)

    clip.gradsound_original = function  # type: ignore[attr-defined]
    return clip
