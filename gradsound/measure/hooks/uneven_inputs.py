"""Counts the steps that other ranks make after this one ran out of inputs.

In ``torch.distributed.algorithms.join.Join``, which DistributedDataParallel has as
``join()``, such a rank takes part in the collectives of the others until all are done. It
has none of their gradients.
"""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from torch import nn

from gradsound.errors import warn
from gradsound.measure.distributed.ranks import current_rank
from gradsound.measure.hooks.guards import never_raises

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradsound.measure.hooks.monitor import GradientMonitor

_counters: weakref.WeakSet[UnevenInputs] = weakref.WeakSet()  # open ones


class UnevenInputs:
    """Gives numbers to the steps that this rank cannot measure, until removed.

    While one exists, a replacement of ``Join.__exit__`` adds it to the hooks that Join
    calls for each step of the other ranks.

    Args:
        monitor: Measures the other steps.
    """

    def __init__(self, monitor: GradientMonitor) -> None:
        self._monitor, self._missed = monitor, 0
        self._model: Any = None  # while this rank takes part in the steps of others
        self._rank = current_rank()
        _counters.add(self)
        _replace_exit()

    @never_raises
    def begin(self, join: Any) -> None:
        """Joins in, if the monitor measures one of the models."""
        measured = {id(p) for p in self._monitor.tracker.alive_parameters()}
        for model in join._joinables:
            if isinstance(model, nn.Module) and any(
                id(parameter) in measured for parameter in model.parameters()
            ):
                join._join_hooks.append(self)
                self._model, self._monitor.joined = model, True

    def main_hook(self) -> None:
        """Counts a step of the other ranks; torch calls it after its own hooks."""
        # As its hook found: an iteration without a reduction accumulates gradients.
        if getattr(self._model, "require_forward_param_sync", True):
            self._monitor.steps += 1
            self._missed += 1

    def post_hook(self, _: bool) -> None:
        """Does nothing; torch calls it when all ranks are done."""

    def end(self) -> None:
        """Goes back to the steps of this rank."""
        self._model, self._monitor.joined = None, False

    def stop_after_error(self) -> None:
        """Ends the measuring because of the exception in progress."""
        self._monitor.stop_after_error()

    def remove(self) -> None:
        """Ends the counting, with a warning of the steps that the run lacks."""
        _counters.discard(self)
        _restore_exit()
        if self._missed:
            warn(
                f"rank {self._rank} ran out of inputs before the others, so the run lacks "
                f"{self._missed:,} of their steps (uneven inputs with Join); give the rank "
                "that records as many inputs as the others"
            )
            self._missed = 0


def _replace_exit() -> None:
    from torch.distributed.algorithms.join import Join

    if not hasattr(Join.__exit__, "gradsound_original"):
        Join.__exit__ = _counted(Join.__exit__)  # type: ignore[method-assign]


def _restore_exit() -> None:
    """Restores torch's function if nothing is counted any more."""
    if _counters:
        return
    from torch.distributed.algorithms.join import Join

    original = getattr(Join.__exit__, "gradsound_original", None)
    if original is not None:  # None if other code replaced it since
        Join.__exit__ = original  # type: ignore[method-assign]


def _counted(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def leave(join: Any, *error: Any) -> Any:
        counters = [*_counters]
        for counter in counters:
            counter.begin(join)
        try:
            return function(join, *error)
        finally:
            for counter in counters:
                counter.end()

    leave.gradsound_original = function  # type: ignore[attr-defined]
    return leave
