"""Notices that another optimizer trains the layers after the attached one is gone."""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from torch.optim.optimizer import register_optimizer_step_pre_hook

from gradsound.errors import warn
from gradsound.measure.hooks.step_hooks import StepHook, is_any_in_hooks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.optim import Optimizer

    from gradsound.measure.parameter_tracker import ParameterTracker


class SuccessorWatch:
    """Warns once if a training replaced its optimizer, until removed.

    gradsound measures the steps of the optimizers that it was given. Some trainings make a
    new one in the middle. While the given ones exist, another optimizer proves nothing: an
    optimizer may call another one for the same parameters (SAM).

    Args:
        tracker: The measured layers.
        optimizers: The given optimizers; the watch does not keep them alive.
    """

    def __init__(self, tracker: ParameterTracker, optimizers: Sequence[Optimizer]) -> None:
        self._tracker = tracker
        self._others: weakref.WeakSet[Optimizer] = weakref.WeakSet()  # of other layers
        self._given = [weakref.ref(one, self._on_gone) for one in optimizers]
        self._handle: StepHook | None = None
        self._removed = False

    def _on_gone(self, _: object) -> None:
        """Begins to look at the steps of all optimizers."""
        if self._handle is None and not self._removed:
            with suppress(Exception):  # at the end of the program, torch may be gone
                if not is_any_in_hooks():  # a hook that comes while torch calls hooks harms
                    self._handle = StepHook(
                        register_optimizer_step_pre_hook, self._before_step
                    )

    def _before_step(self, optimizer: Optimizer, *_: object) -> None:
        """Warns if an optimizer has measured parameters; never raises."""
        if optimizer in self._others or any(one() is optimizer for one in self._given):
            return
        try:
            alive = {id(p) for p in self._tracker.alive_parameters() if p is not None}
            groups = optimizer.param_groups
            if alive and not any(id(p) in alive for g in groups for p in g["params"]):
                self._others.add(optimizer)
                return
        except Exception:  # noqa: BLE001 (training must go on after any error)
            alive = set()
        self.remove()
        if alive:
            warn(
                "the optimizer that attach() got is gone, and gradsound does not record "
                f"the steps of the new {type(optimizer).__name__}: attach again after you "
                "make an optimizer, with resume=True to go on in the run file; or attach "
                "without an optimizer, and gradsound records the steps of any"
            )

    def remove(self) -> None:
        """Ends the watch. A second call does nothing."""
        self._removed = True
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
