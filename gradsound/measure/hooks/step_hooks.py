"""Hooks on the steps of optimizers, which anything may remove at any moment."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from torch.optim import optimizer as torch_optimizer

from gradsound.measure.hooks.guards import uncompiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType


class StepHook:
    """A hook on the steps of one optimizer or of all.

    If a hook goes while torch calls the hooks of a step, ``step()`` raises an error. A hook
    may remove another, the garbage collector may run in a hook, and another thread may
    remove one. Meanwhile, a removed hook therefore stays, and does nothing.

    Args:
        register: Torch's function that registers the hook.
        hook: The hook.

    Attributes:
        function: What torch calls.
    """

    def __init__(
        self, register: Callable[[Callable[..., Any]], Any], hook: Callable[..., Any]
    ) -> None:
        self._hook: Callable[..., Any] | None = hook
        self.function = uncompiled(self._call)
        self._handle = register(self.function)

    def _call(self, *args: Any) -> Any:
        return None if self._hook is None else self._hook(*args)

    def replace(self, function: Callable[..., Any]) -> None:
        """Lets torch call another function, which calls `function` if it has to."""
        hooks = self._handle.hooks_dict_ref()
        # A dictionary that keeps its keys may change while torch goes through it.
        if self._hook is not None and hooks is not None and self._handle.id in hooks:
            hooks[self._handle.id] = function

    def remove(self) -> None:
        """Removes the hook. A second call does nothing."""
        self.replace(self.function)
        self._hook = None
        if not is_any_in_hooks():
            self._handle.remove()


def is_any_in_hooks() -> bool:
    """Returns whether torch goes through the hooks of a step, in any thread."""
    return any(map(is_in_hooks, sys._current_frames().values()))


def is_in_hooks(frame: FrameType | None) -> bool:
    """Returns whether torch goes through the hooks of a step, in a frame or around it."""
    return any(
        getattr(step.f_locals.get("func"), "__code__", None) is not inner
        for step, inner in _steps_around(frame)
    )


def optimizers_in_a_step() -> list[object]:
    """Returns the optimizers whose steps are in progress, from the innermost one on."""
    steps = _steps_around(sys._getframe(1))
    return [step.f_locals.get("self") for step, _ in steps]


def _steps_around(
    frame: FrameType | None,
) -> Iterator[tuple[FrameType, CodeType | None]]:
    """Yields the frames in which torch makes steps, each with the code that it calls."""
    inner: CodeType | None = None
    while frame is not None:
        code = frame.f_code
        if code.co_filename == torch_optimizer.__file__ and code.co_name == "wrapper":
            yield frame, inner
        inner, frame = code, frame.f_back


def frame_of_step() -> FrameType | None:
    """Returns the frame of the ``step`` that called the hook that calls this function."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and (
        frame.f_code.co_filename == __file__
        or frame.f_code.co_filename.endswith("eval_frame.py")  # torch.compiler.disable()
    ):
        frame = frame.f_back
    return frame


def is_within(frame: FrameType | None, outer: FrameType) -> bool:
    """Returns whether one frame is another, or is called from it."""
    while frame is not None and frame is not outer:
        frame = frame.f_back
    return frame is outer
