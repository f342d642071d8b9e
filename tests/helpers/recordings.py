"""What a sound server recorded, compared with a sound file."""

from __future__ import annotations

import numpy as np
import soundfile
from helpers.sound_server import Recording

FADE_IN = 600  # frames; the first block


def same_ears(recording: Recording, path: str) -> bool:
    """Whether a sound file was heard, on both channels, but for where it fades in."""
    samples = recording.both(), soundfile.read(path, dtype="float32", always_2d=True)[0]
    loud = [np.flatnonzero(each.any(axis=1)) for each in samples]
    heard, wanted = (each[where[0] : where[-1] + 1] for each, where in zip(samples, loud))
    longer = len(wanted) - len(heard)  # what fades in may begin with zeros
    if not 0 <= longer < FADE_IN:
        return False
    return np.array_equal(heard[FADE_IN:], wanted[longer + FADE_IN :])
