"""Tracebacks of a script, without frames of ours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType, TracebackType

_PACKAGE = Path(__file__).parents[1]
# Their functions stand between the script and torch.
_HIDDEN = tuple(str(_PACKAGE / folder) for folder in ("script", "measure/hooks"))


def print_as_python_would(error: BaseException, start: CodeType) -> None:
    """Has Python print an error without frames of ours, once it ends the process.

    Args:
        error: The exception that ends the script.
        start: The function of ours that called the script.
    """
    hook = sys.excepthook  # the script may have one of its own

    def excepthook(*_: object) -> None:
        sys.excepthook = hook
        _hide_frames(error, start, set())
        hook(type(error), error, error.__traceback__)

    sys.excepthook = excepthook


def _hide_frames(error: BaseException | None, start: CodeType, seen: set[int]) -> None:
    """Removes frames of ours from an error, and from those that it contains."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    traceback = error.__traceback__
    frames: list[TracebackType] = []
    while traceback is not None:
        if traceback.tb_frame.f_code is start:
            frames.clear()  # this frame and those before it led to the script
        elif not traceback.tb_frame.f_code.co_filename.startswith(_HIDDEN):
            frames.append(traceback)
        traceback = traceback.tb_next
    last: TracebackType | None = None
    for frame in reversed(frames):
        frame.tb_next = last
        last = frame
    error.__traceback__ = last
    for other in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        if isinstance(other, BaseException):
            _hide_frames(other, start, seen)
