"""Steps of one optimizer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gradsound.measure.hooks.base import GradientMonitor
from gradsound.measure.hooks.guards import has_closure, uncompiled

if TYPE_CHECKING:
    from types import FrameType

    from torch.optim import Optimizer

    from gradsound.measure.parameter_tracker import ParameterTracker
    from gradsound.measure.step_queue import Emit


class OptimizerMonitor(GradientMonitor):
    """Hears an optimizer: the gradients that each of its steps applies.

    Args:
        census: As for `GradientMonitor`.
        optimizer: Whose steps to hear.
        emit: As for `GradientMonitor`.
        budget: As for `GradientMonitor`.
    """

    def __init__(
        self,
        tracker: ParameterTracker,
        optimizer: Optimizer,
        emit: Emit,
        budget: float | None = None,
    ) -> None:
        super().__init__(tracker, emit, budget)
        steps = sum("step" in vars(kind) for kind in type(optimizer).__mro__)
        self._nests = steps > 2  # a subclass of a subclass may call super().step()
        self._running: FrameType | None = None  # then, the call that is under way
        self._hears_ends = False
        hook = uncompiled(self._before)
        self.handles.append(optimizer.register_step_pre_hook(hook))

    def _before(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if self._nests:
            step = _frame_of_step()
            if self._running is not None and _is_within(step, self._running):
                return  # super().step(): hooks fire twice
            self._running = step
        has = has_closure(args, kwargs)
        if (has or self._nests) and not self._hears_ends:  # a hook less is time saved
            self._hears_ends = True
            hook = uncompiled(self._after)
            self.handles.append(optimizer.register_step_post_hook(hook))
        if not has:
            self.measure(optimizer)

    def _after(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if self._nests and _frame_of_step() is not self._running:
            return
        self._running = None
        if has_closure(args, kwargs):  # it made the gradients during the step
            self.measure(optimizer)


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
