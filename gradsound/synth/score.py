"""What is to be played: notes, and the time that they take together.

Shapes: S steps, K notes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.synth.voices.program import CONTROLS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.synth.voices.program import Program

# Slots so far apart have phases of their own, but begin and hiss alike: what is played in
# both ears at once is in the middle.
PART = 1 << 16

# One sound of one voice. Pairs are the values at its beginning and its end; between, they
# are on a line.
NOTE = np.dtype(
    [
        ("step", "i4"),  # which of the score's
        ("voice", "i4"),  # which of the score's
        ("line", "i4"),  # which line of its music it belongs to; -1: none, as an alarm
        ("slot", "u4"),  # which of those at once; start phases and noise differ by it
        ("continues", "?"),  # whether phase runs on from the last such note of its slot
        ("onset", "f8"),  # seconds from the beginning of the step
        ("duration", "f8"),  # seconds, the fades included; up to six minutes
        ("fade", "f8"),  # seconds of raised cosine at each end, at most half the duration
        ("hertz", "f8", 2),  # pitch; held at 0.45 of the sample rate
        ("level", "f8", 2),  # linear peak, 0 to 1
        ("pan", "f8"),  # -1 left, 1 right
        ("controls", "f4", (len(CONTROLS), 2)),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)  # == on arrays is not a bool
class Score:
    """The notes of some steps that follow each other.

    Attributes:
        voices: What plays them.
        notes: Shape (K,), of `NOTE`.
        durations: Seconds that each step takes, its silence included, shape (S,).
    """

    voices: tuple[Program, ...]
    notes: NDArray[np.void]
    durations: NDArray[np.float64]
