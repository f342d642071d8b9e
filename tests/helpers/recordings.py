"""A recording of a sound server, compared with a sound file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soundfile

if TYPE_CHECKING:
    from helpers.sound_server import Recording
    from numpy.typing import NDArray

FADE_IN = 600  # frames; longer than the first block, which fades in
_MAX_GAPS = 5  # silences in a recording where a busy machine was late with a block


def matches_file(recording: Recording, path: str) -> bool:
    """Returns whether the recording equals a sound file after the fade-in.

    It compares both channels, without the silence around the sound, and without a few
    silences that the recording has in addition: the sound server plays silence while a
    block is late.
    """
    samples = recording.both(), soundfile.read(path, dtype="float32", always_2d=True)[0]
    loud = [np.flatnonzero(each.any(axis=1)) for each in samples]
    recorded, expected = (
        each[where[0] : where[-1] + 1] for each, where in zip(samples, loud)
    )
    start = _find(expected, recorded[FADE_IN : 2 * FADE_IN])
    if start is None:
        return False
    return _equal_but_for_gaps(recorded[FADE_IN:], expected[start:])


def _find(sound: NDArray[np.float32], part: NDArray[np.float32]) -> int | None:
    """Returns where a sound has a part, if it is no more than a fade-in later."""
    places = range(FADE_IN, 2 * FADE_IN)  # a fade-in may start with zeros
    return next((n for n in places if np.array_equal(sound[n : n + len(part)], part)), None)


def _equal_but_for_gaps(
    recorded: NDArray[np.float32], expected: NDArray[np.float32]
) -> bool:
    """Returns whether two sounds, shape (frames, 2), differ by a few silences at most."""
    for _ in range(_MAX_GAPS + 1):
        frames = min(len(recorded), len(expected))
        unequal = np.flatnonzero((recorded[:frames] != expected[:frames]).any(axis=1))
        if not len(unequal):
            return len(recorded) == len(expected)
        recorded, expected = recorded[unequal[0] :], expected[unequal[0] :]
        gap = np.argmax(recorded.any(axis=1))  # frames of silence
        if gap == 0:
            return False
        recorded = recorded[gap:]
    return False
