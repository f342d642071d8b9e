"""The sound of a run whose layers are ranks: one note a rank, around their median.

The norms of healthy ranks differ by some percent, and an octave for a factor of ten would
be one note for all. So the norm of a rank is divided by the median of all ranks at the same
step, and the pitch is an octave for a factor of two: equal ranks are one note, repeated,
and a rank that deviates leaves it.
"""

from __future__ import annotations

from dataclasses import replace
from math import log10
from typing import TYPE_CHECKING

from gradsound.music.pitch import LogPitch
from gradsound.music.rank_ratios import RANK_BASELINE
from gradsound.runs.rank_layers import are_ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.music.presets import Preset

RANK_SEMITONES = 12 / log10(2)  # for ten times the norm: an octave for each doubling


def rank_preset(preset: Preset, runs: Sequence[Sequence[str]]) -> Preset:
    """Returns the preset for runs of ranks; for other runs the same preset.

    Args:
        preset: How the runs sound. A running baseline stays.
        runs: Names of the layers of each run.
    """
    if preset.baseline != "fixed" or not all(map(are_ranks, runs)):
        return preset
    pitch = preset.pitch
    if isinstance(pitch, LogPitch):
        pitch = replace(pitch, semitones=RANK_SEMITONES)
    voice = preset.voice[0] if isinstance(preset.voice, tuple) else preset.voice
    return replace(preset, baseline=RANK_BASELINE, register=0.0, pitch=pitch, voice=voice)
