"""Frames of steps in progress: torch calls the hooks of ``super().step()`` too."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


def frame_of_step() -> FrameType | None:
    """Returns the frame of the ``step`` that called the hook that calls this function."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.endswith("eval_frame.py"):
        frame = frame.f_back  # the frame of torch.compiler.disable()
    return frame


def is_within(frame: FrameType | None, outer: FrameType) -> bool:
    """Returns whether one frame is another, or is called from it."""
    while frame is not None and frame is not outer:
        frame = frame.f_back
    return frame is outer
