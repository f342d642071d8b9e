"""Panning: the gains of the left and the right channel for a place between them.

Shapes: K notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pan_gains(pan: NDArray[np.float64], channels: int) -> NDArray[np.float64]:
    """Returns linear gains of left and right, shape (K, 2).

    The power is constant: both channels together are as loud as one channel alone.

    Args:
        pan: Places, -1 (left) to 1 (right), shape (K,).
        channels: 1 or 2; one channel uses the left gain, which is then 1.
    """
    if channels == 1:
        return np.ones((len(pan), 2))
    angle = (pan + 1) * (np.pi / 4)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)
