"""Notices that an optimizer that attach() did not get trains the measured layers."""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from torch.optim.optimizer import register_optimizer_step_pre_hook

from gradsound.errors import warn
from gradsound.measure.hooks.install import join_optimizer
from gradsound.measure.hooks.optimizer_wrappers import find_inner_optimizers
from gradsound.measure.hooks.step_hooks import StepHook, is_any_in_hooks
from gradsound.measure.layers import parameter_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.measure.hooks.install import JoinableMonitor


class OtherOptimizerWatch:
    """Watches the steps of all optimizers while the given ones do not step, until removed.

    Until a given optimizer steps for the first time, each other one that steps the measured
    layers joins the monitor. Some users give an optimizer that the training does not use.
    A warning says so at the second step, because the first one may call the given one.
    Later another one proves nothing: an optimizer may call another one for the same
    parameters (SAM).

    Some trainings make a new optimizer in the middle. Once a given one is gone, the watch
    warns of the first other one that steps the measured layers.

    Args:
        monitor: Measures the steps.
        optimizers: The given optimizers; the watch does not keep them alive.
        scaler: As for `gradsound.attach`.
        warns: Whether this rank warns.
    """

    def __init__(
        self,
        monitor: JoinableMonitor,
        optimizers: Sequence[Optimizer],
        scaler: GradScaler | None,
        *,
        warns: bool,
    ) -> None:
        self._monitor, self._warns = monitor, warns
        self._scaler = None if scaler is None else weakref.ref(scaler)
        self._given = [weakref.ref(one, self._on_gone) for one in optimizers]
        inner = [one for outer in optimizers for one in find_inner_optimizers(outer)]
        self._measured = weakref.WeakSet([*optimizers, *inner])
        self._joined: weakref.WeakSet[Optimizer] = weakref.WeakSet()  # without a warning
        self._others: weakref.WeakSet[Optimizer] = weakref.WeakSet()  # they prove nothing
        self._handle: StepHook | None = None
        self._removed = False
        self._watch()

    def _watch(self) -> None:
        # A hook that comes while torch calls hooks harms; then a given one steps already.
        if self._handle is None and not self._removed and not is_any_in_hooks():
            self._handle = StepHook(register_optimizer_step_pre_hook, self._before_step)

    def _on_gone(self, _: object) -> None:
        with suppress(Exception):  # at the end of the program, torch may be gone
            self._watch()

    def _before_step(self, optimizer: Optimizer, *_: object) -> None:
        """Looks which optimizer steps; never raises."""
        if self._removed or optimizer in self._others:
            return
        try:
            self._note(optimizer)
        except Exception:  # noqa: BLE001 (training must go on after any error)
            self.remove()

    def _note(self, optimizer: Optimizer) -> None:
        gone = any(one() is None for one in self._given)
        if optimizer in self._measured:
            if not gone:
                self._unwatch()
            return
        alive = {id(p) for p in self._monitor.tracker.alive_parameters() if p is not None}
        if alive and alive.isdisjoint(parameter_ids([optimizer]) or ()):
            self._others.add(optimizer)
            self._monitor.missing_steps.strangers.add(type(optimizer).__name__)
        elif gone:
            self.remove()
            if alive:
                self._warn(
                    "the optimizer that attach() got is gone, and gradsound does not "
                    f"record the steps of the new {type(optimizer).__name__}: attach again "
                    "after you make an optimizer, with resume=True to go on in the run "
                    "file; or attach without an optimizer, and gradsound records the steps "
                    "of any"
                )
        elif optimizer not in self._joined:
            self._joined.add(optimizer)
            scaler = None if self._scaler is None else self._scaler()
            join_optimizer(self._monitor, optimizer, scaler)
        else:
            self._others.add(optimizer)
            given = " and ".join(type(one()).__name__ for one in self._given)
            self._warn(
                f"the {given} that attach() got has made no step, but this "
                f"{type(optimizer).__name__} steps the same layers: gradsound records its "
                "steps, too"
            )

    def _warn(self, message: str) -> None:
        if self._warns:
            warn(message)

    def _unwatch(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def remove(self) -> None:
        """Ends the watch. A second call does nothing."""
        self._removed = True
        self._given.clear()  # their callbacks would keep this and the monitor
        self._unwatch()
