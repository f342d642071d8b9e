"""Whether hooks may come and go at this point of a training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from gradsound.measure.hooks.step_hooks import is_in_hooks

if TYPE_CHECKING:
    from types import FrameType

_PACKAGE = Path(__file__).parents[1]
# While they work, what they work on must stay.
_OURS = tuple(str(_PACKAGE / name) for name in ("measure", "script/found_"))


def is_safe_point() -> bool:
    """Returns whether the code that this interrupts lets hooks change.

    It does not inside a hook of an optimizer, because torch goes through all hooks then;
    nor inside our own, nor while torch compiles.
    """
    compiling = getattr(torch._guards, "CompileContext", None)
    if compiling is not None and compiling.try_get() is not None:
        return False
    frame: FrameType | None = sys._getframe()
    if is_in_hooks(frame):
        return False
    while frame is not None:
        if frame.f_code.co_filename.startswith(_OURS):
            return False
        frame = frame.f_back
    return True
