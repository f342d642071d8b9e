"""The score: notes of consecutive steps, with the duration of each step.

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

# Slots of each run of a comparison. A slot of one run has the start phase and the noise of
# the same slot of the other: so a note that both runs play is heard in the middle.
SLOTS_PER_RUN = 1 << 16

# A pair holds the values at the note's two ends; between them the value is linear.
NOTE = np.dtype(
    [
        ("step", "i4"),  # index into the score's durations
        ("voice", "i4"),  # index into the score's voices
        ("track", "i4"),  # index of the note's track; -1 for alarm sounds
        ("slot", "u4"),  # seed of start phase and noise; notes at once differ in it
        ("continues", "?"),  # whether to continue the phase of the slot's last such note
        ("onset", "f8"),  # seconds after the step's beginning
        ("duration", "f8"),  # seconds with both fades, up to 360
        ("fade", "f8"),  # seconds of raised cosine at each end, at most half the duration
        ("hertz", "f8", 2),  # pitch; the sequencer holds it at 0.45 of the sample rate
        ("level", "f8", 2),  # linear peak, 0 to 1
        ("pan", "f8"),  # -1 left, 1 right
        ("controls", "f4", (len(CONTROLS), 2)),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)  # == on arrays is not a bool
class Score:
    """The notes of consecutive steps.

    Attributes:
        voices: Programs of the voices.
        notes: Shape (K,), of `NOTE`.
        durations: Seconds of each step with its silence, shape (S,).
    """

    voices: tuple[Program, ...]
    notes: NDArray[np.void]
    durations: NDArray[np.float64]
