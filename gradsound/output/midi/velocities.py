"""Velocities and expression of General MIDI: the level of a note is their square.

Shapes: K notes or points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

VELOCITY_MAX = 100  # of the loudest note: beyond, many instruments change their timbre


def loudness_values(levels: NDArray[np.float64], loudest: float, highest: int) -> list[int]:
    """Returns the velocity or the expression of each level, from 1 on.

    Args:
        levels: Linear levels, shape (K,).
        loudest: The level with the highest value.
        highest: That value, at most 127.
    """
    values = np.rint(highest * np.sqrt(levels / (loudest or 1.0)))
    numbers: list[int] = np.clip(values, 1, highest).astype(int).tolist()
    return numbers
