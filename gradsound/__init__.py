"""Hear your network train: gradient norms of every layer as sound.

import gradsound

with gradsound.listen(model, optimizer):
    train(model, optimizer)  # your loop, unchanged
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradsound.api import attach, listen
    from gradsound.attachment import Attachment
    from gradsound.music.presets import PRESETS, Preset
    from gradsound.rendering.picture import plot
    from gradsound.rendering.sound import render
    from gradsound.runs.model import Run, Step
    from gradsound.runs.reader import read_run

__all__ = [
    "PRESETS",
    "Attachment",
    "Preset",
    "Run",
    "Step",
    "attach",
    "listen",
    "plot",
    "read_run",
    "render",
]
__version__ = "0.1.0"

# Each is loaded when it is asked for: the process that has the sound device is up before
# numpy is.
_HOMES = {
    "PRESETS": "music.presets",
    "Attachment": "attachment",
    "Preset": "music.presets",
    "Run": "runs.model",
    "Step": "runs.model",
    "attach": "api",
    "listen": "api",
    "plot": "rendering.picture",
    "read_run": "runs.reader",
    "render": "rendering.sound",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
