"""A recording of a sound server, compared with a sound file."""

from __future__ import annotations

import numpy as np
import soundfile
from helpers.sound_server import Recording

FADE_IN = 600  # frames; longer than the first block, which fades in


def matches_file(recording: Recording, path: str) -> bool:
    """Returns whether the recording equals a sound file after the fade-in.

    It compares both channels, without the silence around the sound.
    """
    samples = recording.both(), soundfile.read(path, dtype="float32", always_2d=True)[0]
    loud = [np.flatnonzero(each.any(axis=1)) for each in samples]
    recorded, expected = (
        each[where[0] : where[-1] + 1] for each, where in zip(samples, loud)
    )
    cut = len(expected) - len(recorded)  # frames; a fade-in may start with zeros
    if not 0 <= cut < FADE_IN:
        return False
    return np.array_equal(recorded[FADE_IN:], expected[cut + FADE_IN :])
