"""Ducking: notes that begin during an alarm sound are softer.

Shapes: S moments, B tracks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.music.alarm_announcer import DUCKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Ducking:
    """The times of alarm sounds, and the attenuation of the notes in these times."""

    def __init__(self) -> None:
        self._times: list[tuple[float, float]] = []  # begins and ends, seconds

    def add(self, begin: float, end: float) -> None:
        """Adds the time of an alarm sound, in seconds."""
        self._times.append((begin, end))

    def attenuate(self, levels: NDArray[np.float64], onsets: NDArray[np.float64]) -> None:
        """Attenuates the levels of the notes that begin during an alarm sound.

        Args:
            levels: Linear peaks, shape (S, B).
            onsets: Onset of each note in seconds, shape (S, B).
        """
        for begin, end in self._times:
            levels[(onsets >= begin) & (onsets < end)] *= DUCKING

    def forget(self, time: float) -> None:
        """Forgets the sounds that end before a time in seconds."""
        self._times = [(begin, end) for begin, end in self._times if end > time]
