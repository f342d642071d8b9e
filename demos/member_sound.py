"""Sounds of an ensemble: each member is a track, and all of them sound at once."""

from __future__ import annotations

from dataclasses import replace
from math import log2
from typing import TYPE_CHECKING

import numpy as np

import gradsound

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike

# An octave for each unit: the norm that is heard so is 2 to the power of a number.
OCTAVES = gradsound.LogPitch(anchor=330.0, semitones=12 * log2(10), lowest=40, highest=4000)
# No member is a layer that could be ill.
NEVER = gradsound.Thresholds(spike_ratio=1e30, vanishing=1e-30, dead_steps=10**9)
CHORD = replace(
    gradsound.PRESETS["chord"],
    name="members",
    pitch=OCTAVES,
    voice="soft",
    bands="layers",
    register=0.0,
    level=0.075,
    alarms=0.0,
    thresholds=NEVER,
)
GLIDE = replace(CHORD, texture="drone", note_seconds=0.1, rest_seconds=0.0)


def render_members(octaves: ArrayLike, path: Path, preset: gradsound.Preset) -> None:
    """Writes a sound in which each member is a track.

    Args:
        octaves: How many octaves each member is above the anchor of `OCTAVES` at each
            step, shape (steps, members). NaN is silence.
        path: The sound file.
        preset: `CHORD` or `GLIDE`.
    """
    norms = np.exp2(np.asarray(octaves, np.float32))
    names = tuple(f"member {number}" for number in range(1, norms.shape[1] + 1))
    header = gradsound.Header(layers=names, parameters=(0,) * len(names), start="")
    steps = [
        gradsound.Step(number, number * preset.note_seconds, row, np.isnan(row))
        for number, row in enumerate(norms)
    ]
    gradsound.render(gradsound.Run(header, steps), path, preset=preset)
