"""From a step to its score: each layer in turn, then silence.

Shapes: L layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.score import Note, Score

if TYPE_CHECKING:
    from gradsound.music.preset import Preset
    from gradsound.run import Step

# Hz of the harsh voice; two octaves apart, so that NaN growls and infinity shrieks
_NAN, _INFINITE = 220.0, 880.0


def compose(step: Step, preset: Preset) -> Score:
    """Returns the score of a step.

    Every layer has its place in time, so that it is known by when it sounds: a finite
    norm is a note of the preset's pitch, NaN and infinity are the harsh voice, and a layer
    without gradient is silent.
    """
    hertz = preset.pitch.hertz(np.where(np.isfinite(step.norms), step.norms, 0.0))  # (L,)
    notes = []
    for layer, norm in enumerate(step.norms.tolist()):
        if step.absent[layer]:
            continue
        if np.isfinite(norm):
            voice, pitch = preset.voice, float(hertz[layer])
        else:
            voice, pitch = "harsh", _NAN if np.isnan(norm) else _INFINITE
        notes.append(
            Note(
                voice=voice,
                onset=layer * preset.note,
                duration=preset.note,
                hertz=pitch,
                level=preset.level,
                fade=preset.fade,
            )
        )
    return Score(tuple(notes), len(step.norms) * preset.note + preset.rest)
