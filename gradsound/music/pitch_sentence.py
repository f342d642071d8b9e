"""The sentence that tells which norm has which pitch, as the name of a note."""

from __future__ import annotations

from math import log2, log10
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.pitch import LogPitch
from gradsound.music.rank_ratios import RANK_BASELINE

if TYPE_CHECKING:
    from gradsound.music.presets import Preset

_LOWER = "C", "C sharp", "D", "E flat", "E", "F"
_UPPER = "F sharp", "G", "A flat", "A", "B flat", "B"
_NOTE_NAMES = (*_LOWER, *_UPPER)  # of an octave
_ROUNDING = 1e-9  # of an interval
_TUNED = 0.06  # semitones from a note of the tempered scale, at most; nobody hears it


def pitch_sentence(preset: Preset, bands: int = 1) -> str:
    """Returns the sentence that tells which norm has which pitch.

    Args:
        preset: How a run sounds, from `fit_anchor`.
        bands: Number of bands; several have several registers.

    Example:
        >>> import gradsound
        >>> pitch_sentence(gradsound.PRESETS["notes"])
        '1 octave = factor 10; norm 1 is C4'
    """
    pitch = preset.pitch
    scale = _interval_text(pitch) if isinstance(pitch, LogPitch) else "linear pitch"
    if preset.baseline == RANK_BASELINE:
        place = _note_text(float(pitch.hertz(np.ones(1))[0]))
        return f"{scale}; the median of the ranks at each step is {place}"
    if preset.baseline == "running":
        return f"{scale}; the usual norm of a band has the same pitch always"
    where = " in the first band" if preset.register and bands > 1 else ""
    if isinstance(pitch, LogPitch):
        lower = ", larger is lower" if pitch.invert else ""
        place = f"norm {_norm_text(pitch.norm)} is {_note_text(pitch.anchor)}{where}"
        return f"{_interval_text(pitch)}{lower}; {place}"
    unit = f"{pitch.slope:g} Hz = norm {_norm_text(pitch.norm)}"
    return f"{unit}; norm 0 would be {pitch.base:g} Hz{where}"


def _interval_text(pitch: LogPitch) -> str:
    octaves = pitch.semitones / 12
    if octaves == 1:
        return "1 octave = factor 10"
    if abs(octaves * log10(2) - 1) < _ROUNDING:
        return "1 octave = factor 2"
    if octaves.is_integer():
        return f"{octaves:g} octaves = factor 10"
    return f"{pitch.semitones:g} semitones = factor 10"


def _norm_text(norm: float) -> str:
    """Returns a norm as 1, 10, 1e5 or 1e-4."""
    text = f"{norm:.3g}" if 0.01 <= norm < 1000 else f"{norm:.3e}"
    if "e" not in text:
        return text
    digits, exponent = text.split("e")
    return f"{float(digits):g}e{int(exponent)}"


def _note_text(hertz: float) -> str:
    """Returns the name of a note, such as C4; or the pitch in Hz if it is none."""
    semitones = 12 * log2(hertz / 440.0) + 69  # as MIDI numbers notes
    nearest = round(semitones)
    if abs(semitones - nearest) > _TUNED:
        return f"{hertz:g} Hz"
    name, octave = _NOTE_NAMES[nearest % 12], nearest // 12 - 1
    return f"{name} {octave}" if " " in name else f"{name}{octave}"
