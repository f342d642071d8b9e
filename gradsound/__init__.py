"""Hear your network train: gradient norms of every layer as sound.

import gradsound

with gradsound.attach(model, optimizer, wav="run.wav"):
    train(model, optimizer)  # your loop, unchanged
"""

from gradsound.attaching import attach
from gradsound.attachment import Attachment
from gradsound.music.preset import PRESETS, Preset
from gradsound.picture import plot
from gradsound.rendering import render
from gradsound.run import Run, Step
from gradsound.run_file import read_run

__all__ = [
    "PRESETS",
    "Attachment",
    "Preset",
    "Run",
    "Step",
    "attach",
    "plot",
    "read_run",
    "render",
]
__version__ = "0.1.0.dev0"
