"""Whether hooks may come and go at this point of a training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.optim import optimizer as optimizer_module

if TYPE_CHECKING:
    from types import CodeType, FrameType

_STEP = (optimizer_module.__file__, "wrapper")  # the function of torch that calls the hooks
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
    inner: CodeType | None = None  # of the function that the frame calls
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(_OURS):
            return False
        if (code.co_filename, code.co_name) == _STEP:
            step = frame.f_locals.get("func")
            if getattr(step, "__code__", None) is not inner:
                return False
        inner, frame = code, frame.f_back
    return True
