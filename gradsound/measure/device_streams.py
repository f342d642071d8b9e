"""The streams of an accelerator, in which gradsound can copy without waiting."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch


@cache
def find_streams(kind: str) -> Any | None:
    """Returns torch's module of a kind of device, if it can tell when a copy is complete.

    For that it needs streams, events and pinned host memory. A device that compiles
    operations later (xla) has none of these, mps has no streams, host memory needs none.

    Args:
        kind: The type of a device, such as "cuda".
    """
    if kind == "cpu":
        return None
    try:
        module: Any = torch.get_device_module(kind)
        if hasattr(module, "current_stream") and hasattr(module.Event, "query"):
            torch.empty(1, pin_memory=True)
            return module
    except (AttributeError, RuntimeError):
        pass
    return None
