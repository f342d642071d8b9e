"""Textures: when each track of a step sounds, one after another, at once or in a sweep.

Shapes: B tracks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# One after another; at once; one overlapping sweep; at once without end; silent.
TEXTURES = ("turn", "chord", "scan", "drone", "none")
_USUAL_TRACKS = 4  # the number whose notes have the preset's own level
_SWEEP_NOTES = 16  # notes that a sweep lasts, at most; 100 layers in turn take 6 s


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """When the tracks of a step sound, in seconds from its beginning.

    Attributes:
        onsets: Onset of each track, shape (B,).
        note_seconds: Duration of each note.
        notes_end: End of the last note; 0 if the texture is silent.
        duration: Duration of the step, with its silence.
        polyphony: Number of notes that sound at the same time, at most.
        gain: Linear factor of the notes' level. Fewer tracks sound for less of a step, so
            each note is louder, and the step has the same energy.
        headroom: Linear factor by which a note may be louder than that, so that a shorter
            one has the same energy.
    """

    onsets: NDArray[np.float64]
    note_seconds: float
    notes_end: float
    duration: float
    polyphony: int
    gain: float = 1.0
    headroom: float = 1.0


def lay_out(texture: str, tracks: int, note_seconds: float, rest_seconds: float) -> Layout:
    """Returns the layout of a step.

    Args:
        texture: One of `TEXTURES`.
        tracks: Number of tracks, B.
        note_seconds: Duration of each note.
        rest_seconds: Silence at the end of the step.
    """
    layout = _place(texture, tracks, note_seconds, rest_seconds)
    if texture not in ("turn", "scan"):  # all tracks sound for the same time
        return layout
    usual = _place(texture, _USUAL_TRACKS, note_seconds, rest_seconds)
    return replace(layout, gain=math.sqrt(_sounding(usual) / _sounding(layout)))


def _sounding(layout: Layout) -> float:
    """Returns the share of a step in which a note sounds."""
    notes = len(layout.onsets) / layout.polyphony
    return notes * layout.note_seconds / layout.duration


def _place(texture: str, tracks: int, note_seconds: float, rest_seconds: float) -> Layout:
    """Returns the layout of a step, with the gain 1."""
    if texture == "none":
        duration = note_seconds + rest_seconds
        return Layout(np.zeros(tracks), note_seconds, 0.0, duration, 1)
    spacing, polyphony = note_seconds, 1
    if texture in ("chord", "drone"):
        spacing, polyphony = 0.0, tracks
    elif texture == "scan" and tracks > _SWEEP_NOTES:
        spacing = note_seconds * _SWEEP_NOTES / tracks
        polyphony = -(-tracks // _SWEEP_NOTES)
    onsets = np.arange(tracks, dtype=np.float64) * spacing
    notes_end = spacing * (tracks - 1) + note_seconds
    return Layout(onsets, note_seconds, notes_end, notes_end + rest_seconds, polyphony)
