"""The loudness of runs whose bands do not even out: of one band, or of one register.

Four bands in four registers are as loud by ITU-R BS.1770 for any norms: where one is low,
others are high. The notes of a single band are all low or all high.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.anchor import band_pitches
from gradsound.music.equal_loudness import mean_loudness

if TYPE_CHECKING:
    from gradsound.music.presets import Preset

_USUAL_TRACKS = 4  # even out; their gains are those of ISO 226 alone
_FAR = 3  # tracks more or fewer, at which BS.1770 counts in full


def single_loudness(preset: Preset, tracks: int) -> tuple[float, float]:
    """Returns the arguments ``single`` and ``single_db`` of `equal_loudness.gains`.

    Args:
        preset: How the run sounds.
        tracks: Number of tracks.

    Returns:
        How far BS.1770 decides the gains, 0 to 1; and the loudness in dB of four bands of
        this preset at the anchor.
    """
    distance = _USUAL_TRACKS - tracks
    if not preset.register:
        distance = abs(distance)
    if distance <= 0:
        return 0.0, 0.0
    programs = preset.programs
    usual = [programs[k % len(programs)] for k in range(_USUAL_TRACKS)]
    pitches = band_pitches(preset, _USUAL_TRACKS)
    hertz = [float(pitch.hertz(np.full(1, pitch.norm))[0]) for pitch in pitches]
    return min(distance / _FAR, 1.0), mean_loudness(usual, hertz)
