"""From steps to their score: each layer in turn, then silence.

Shapes: S steps, L layers, K notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.usual import Usual
from gradsound.synth.program import CONTROLS
from gradsound.synth.score import NOTE, Score
from gradsound.synth.voices import clang, find_voice, program_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.preset import Preset
    from gradsound.run import Step
    from gradsound.synth.program import Program

# Hz of the clang, which is heard five times as high: NaN growls at 220, infinity shrieks
# two octaves above.
_NAN, _INFINITE = 44.0, 176.0
_DECADES = 8.0  # of norm that the control of that name covers, with 1 in the middle


def voices(preset: Preset) -> tuple[Program, ...]:
    """What plays a preset: its voice, and that of norms that are not finite."""
    return find_voice(preset.voice), program_of(clang)


def duration(layers: int, preset: Preset) -> float:
    """Seconds that a step takes."""
    return layers * preset.note + preset.rest


def compose(steps: Sequence[Step], preset: Preset, usual: Usual | None = None) -> Score:
    """Returns the score of steps that follow each other.

    Every layer has its place in time, so that it is known by when it sounds: a finite
    norm is a note of the preset's pitch, NaN and infinity are a clang, and a layer without
    gradient is silent.

    Args:
        steps: At least one, all with the same layers.
        preset: How they sound.
        usual: What was usual before them; it learns from them.
    """
    norms = np.stack([step.norms for step in steps])  # (S, L)
    present = ~np.stack([step.absent for step in steps])
    finite = np.isfinite(norms)
    layers = norms.shape[1]
    depth = np.linspace(0.0, 1.0, layers) if layers > 1 else np.zeros(1)
    sounding = voices(preset)
    when, which = np.nonzero(present)  # (K,)
    heard, good = norms[present], finite[present]
    notes = np.zeros(len(when), NOTE)
    notes["step"], notes["voice"] = when, ~good
    notes["onset"] = which * preset.note
    notes["duration"], notes["fade"] = preset.note, preset.fade
    hertz = preset.pitch.hertz(np.where(good, heard, 0.0))
    hertz = np.where(good, hertz, np.where(np.isnan(heard), _NAN, _INFINITE))
    notes["hertz"], notes["level"] = hertz[:, None], preset.level
    notes["pan"] = preset.spread * (2 * depth[which] - 1)
    controls: dict[str, NDArray[np.floating]] = {"depth": depth[which]}
    if "norm" in sounding[0].inputs:
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 and NaN
            controls["norm"] = np.clip(0.5 + np.log10(heard) / _DECADES, 0, 1)
    if "deviation" in sounding[0].inputs:
        controls["deviation"] = (usual or Usual()).deviations(
            np.where(present, norms, np.nan)
        )[present]
    for name, values in controls.items():
        # A clang has no use for them, so what is not a number need not be one.
        notes["controls"][:, CONTROLS.index(name)] = np.nan_to_num(values)[:, None]
    durations = np.full(len(steps), duration(layers, preset))
    return Score(sounding, notes, durations)
