"""Measures norms before clipping, by replacements of torch's clip functions.

Only at this moment a raw norm is meaningful in any loop: gradients are complete, reduced
over ranks and unscaled. A hook of the backward pass cannot know that.
"""

from __future__ import annotations

import functools
import sys
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import utils

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gradsound.measure.hooks.monitor import GradientMonitor

_NAMES = ("clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_")
# Name, original and replacement, while there is a listener.
_replaced: list[tuple[str, Callable[..., Any], Callable[..., Any]]] = []
_monitors: weakref.WeakSet[GradientMonitor] = weakref.WeakSet()  # open ones
_listeners: list[Callable[[Sequence[torch.Tensor]], None]] = []


def listen_to_clipping(
    listener: Callable[[Sequence[torch.Tensor]], None],
) -> Callable[[], None]:
    """Calls a listener before every clipping, and before all monitors.

    Args:
        listener: Gets the parameters that are about to be clipped; it may make a monitor.

    Returns:
        The function that ends this.
    """
    _listeners.append(listener)
    _replace_functions()

    def end() -> None:
        _listeners.remove(listener)
        _restore_functions()

    return end


def _functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yields torch's functions and DeepSpeed's own, with their names."""
    yield from ((name, getattr(utils, name)) for name in _NAMES)
    # An engine calls it if it has no optimizer of its own: ZeRO 0 and float32.
    if (engine := sys.modules.get("deepspeed.runtime.engine")) is not None:
        yield "clip_grad_norm_", engine.clip_grad_norm_


def _replace_functions() -> None:
    known = {function for _, *pair in _replaced for function in pair}
    for name, function in _functions():
        if function not in known:
            _replaced.append((name, function, _measured(function)))
            _replace_everywhere(*_replaced[-1])


def _restore_functions() -> None:
    """Restores torch's functions if nothing is called before them any more."""
    if _monitors or _listeners:
        return
    while _replaced:
        name, original, replacement = _replaced.pop()
        _replace_everywhere(name, replacement, original)


def _replace_everywhere(
    name: str, old: Callable[..., Any], new: Callable[..., Any]
) -> None:
    """Replaces a function in torch, and in modules that imported it by its name."""
    for module in [*sys.modules.values()]:
        try:  # a lazy module would load itself if it were asked
            namespace = object.__getattribute__(module, "__dict__")
        except AttributeError:  # anything can be in place of a module
            continue
        if namespace.get(name) is old:
            namespace[name] = new


class ClipHandle:
    """Has a monitor measure before ``torch.nn.utils`` clips, until removed.

    While a handle exists, replacements of the functions call all monitors and then the
    originals. A function that the user imported under another name is not replaced.

    Args:
        monitor: Measures the gradients before clipping.
    """

    def __init__(self, monitor: GradientMonitor) -> None:
        self._monitor = monitor
        _monitors.add(monitor)
        _replace_functions()

    def remove(self) -> None:
        """Removes the monitor; with the last one, restores torch's functions."""
        _monitors.discard(self._monitor)
        _restore_functions()


def _measured(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def clip(
        parameters: torch.Tensor | Iterable[torch.Tensor], *args: Any, **kwargs: Any
    ) -> Any:
        if torch.compiler.is_compiling():  # a monitor would break the graph
            return function(parameters, *args, **kwargs)
        if not isinstance(parameters, torch.Tensor):
            parameters = list(parameters)
        given = [parameters] if isinstance(parameters, torch.Tensor) else parameters
        for listener in [*_listeners]:
            listener(given)
        monitors = [*_monitors]
        for monitor in monitors:
            monitor.before_clip(given)
        try:
            return function(parameters, *args, **kwargs)
        finally:  # it may raise an error for gradients that are not finite
            for monitor in monitors:
                monitor.raw_norms.watch.after_clip()

    return clip
