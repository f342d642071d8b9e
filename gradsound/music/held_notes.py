"""Notes that are held for longer or shorter than usual, and are as loud as before.

Shapes: K notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLICK_SECONDS = 0.008  # least duration of a note that is held shorter than usual
_FADE_LOSS = 5 / 8  # of its energy that a note loses in the time of a raised cosine


def hold_notes(
    notes: NDArray[np.void],
    lengths: NDArray[np.float64],
    longest: NDArray[np.float64],
    headroom: float,
) -> None:
    """Makes notes longer or shorter; their energy stays.

    Args:
        notes: Of usual durations, shape (K,), of `NOTE`.
        lengths: How many times as long each shall be, shape (K,).
        longest: Seconds that a longer note may last, shape (K,).
        headroom: Linear factor by which the level may grow.
    """
    usual, energy = notes["duration"].copy(), _energy(notes)
    held = np.minimum(usual * lengths, np.maximum(longest, usual))
    held = np.maximum(held, np.minimum(usual, _CLICK_SECONDS))
    notes["duration"] = held
    notes["fade"] *= np.minimum(held / usual, 1)
    gains = np.sqrt(energy / _energy(notes))
    notes["level"] *= np.minimum(gains, headroom)[:, None]


def _energy(notes: NDArray[np.void]) -> NDArray[np.float64]:
    """Returns for how many seconds notes at full level have their energy, shape (K,)."""
    return np.asarray(notes["duration"] - 2 * _FADE_LOSS * notes["fade"])
