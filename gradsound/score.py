"""What is to be played: notes, and the time that they take together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """One sound of one voice.

    Attributes:
        voice: Name of the voice, one of `gradsound.synth.voices.VOICES`.
        onset: Seconds from the beginning of the score.
        duration: Seconds, the fades included.
        hertz: Pitch; the synth holds it where the voice would pass the sample rate's
            limit.
        level: Linear peak, 0 to 1.
        fade: Seconds of raised cosine at each end, at most half the duration.
    """

    voice: str
    onset: float
    duration: float
    hertz: float
    level: float
    fade: float


@dataclass(frozen=True, slots=True)
class Score:
    """The notes of one step.

    Attributes:
        notes: In any order; none lasts beyond ``duration``.
        duration: Seconds that the step takes, its silence included.
    """

    notes: tuple[Note, ...]
    duration: float
