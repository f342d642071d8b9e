"""Textures: how the lines of a step, its bands for the most part, are laid out in time.

Shapes: B lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# One after the other; all at once; one sweep, overlapping; all at once and for ever; none.
TEXTURES = ("turn", "chord", "scan", "drone", "none")
_SWEEP = 16  # notes that a sweep lasts, however many lines there are


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """When the lines of a step sound, in seconds from its beginning.

    Attributes:
        onsets: Of each line, shape (B,).
        note_seconds: How long each sounds.
        sounding: When the last one ends.
        duration: Of the step, its silence included.
        together: How many sound at the same time, at most.
    """

    onsets: NDArray[np.float64]
    note_seconds: float
    sounding: float
    duration: float
    together: int


def lay_out(texture: str, lines: int, note: float, rest: float) -> Layout:
    """Lays out a step.

    Args:
        texture: One of `TEXTURES`.
        lines: How many, B; none of them sounds if the texture is "none".
        note: Seconds that each sounds.
        rest: Seconds of silence that end the step.
    """
    if texture == "none":
        return Layout(np.zeros(lines), note, 0.0, note + rest, 1)
    apart, together = note, 1
    if texture in ("chord", "drone"):
        apart, together = 0.0, lines
    elif texture == "scan" and lines > _SWEEP:
        apart = note * _SWEEP / lines
        together = -(-lines // _SWEEP)
    onsets = np.arange(lines, dtype=np.float64) * apart
    sounding = apart * (lines - 1) + note
    return Layout(onsets, note, sounding, sounding + rest, together)
