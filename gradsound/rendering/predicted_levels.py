"""Levels of notes as their distances from a prediction, which need less space.

Equal loudness makes the level of a voice a smooth function of the pitch. In the order of
the pitches, the line through the two levels before a level predicts its first digits. The
page computes the same predictions (one_file/predicted_levels.js): additions, products and
quotients of doubles are the same everywhere.

Shapes: K notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEEPEST = 2.0**26  # of a prediction, from one level to the next; more is a jump


def encode_levels(
    voices: NDArray[np.uint16], increments: NDArray[np.uint32], levels: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """Returns the distance of each level from its prediction, shape (K,).

    Small distances of both signs are small numbers: 0, -1, 1, -2, 2 are 0, 1, 2, 3, 4.

    Args:
        voices: Number of each note's voice, shape (K,).
        increments: Its pitch, as an event has it, shape (K,).
        levels: The bits of its level, shape (K,).
    """
    order = np.lexsort((increments, voices))
    pitch, level = increments[order].astype(float), levels[order].astype(float)
    intervals, rises = np.diff(pitch, prepend=0.0), np.diff(level, prepend=0.0)
    before = np.roll(intervals, 1)
    slopes = np.divide(intervals, before, out=np.zeros_like(before), where=before > 0)
    steps = np.floor(np.roll(rises, 1) * slopes)
    smooth = (slopes > 0) & (np.abs(steps) < _STEEPEST)
    smooth[:2] = False
    distances = (rises - np.where(smooth, steps, 0.0)).astype(np.int64).astype(np.int32)
    encoded = np.empty(len(order), np.uint32)
    encoded[order] = ((distances << 1) ^ (distances >> 31)).view(np.uint32)
    return encoded
