"""The sound of each kind of alarm: a short rhythm in its own voice.

A listener tells alarms apart by rhythm first, because a rhythm is easier to learn than a
melody. A more urgent alarm repeats faster (docs/listening.md has the sources). Each sound
takes at most 1 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

# Onset and duration in seconds, then Hz at the beginning and at the end.
Tone: TypeAlias = "tuple[float, float, float, float]"


@dataclass(frozen=True, slots=True)
class AlarmSound:
    """The sound of one kind of alarm.

    Attributes:
        voice: Name of its voice.
        tones: Its notes.
    """

    voice: str
    tones: tuple[Tone, ...]

    @property
    def duration(self) -> float:
        """Seconds from the first onset to the last end."""
        return max(onset + duration for onset, duration, _, _ in self.tones)


def _beats(*onsets: float, duration: float, hertz: float) -> tuple[Tone, ...]:
    return tuple((onset, duration, hertz, hertz) for onset in onsets)


def _chord(onset: float, duration: float, *hertz: float) -> tuple[Tone, ...]:
    return tuple((onset, duration, one, one) for one in hertz)


ALARM_SOUNDS: Mapping[str, AlarmSound] = {
    # Three fast beats and two: the rhythm of an emergency.
    "nonfinite": AlarmSound(
        "clang", _beats(0, 0.12, 0.24, 0.48, 0.60, duration=0.09, hertz=88.0)
    ),
    # Four steps up, each shorter.
    "loss": AlarmSound(
        "organ",
        (
            (0, 0.22, 880.0, 880.0),
            (0.30, 0.16, 1320.0, 1320.0),
            (0.52, 0.12, 1980.0, 1980.0),
            (0.68, 0.10, 2970.0, 2970.0),
        ),
    ),
    # A heart that beats twice and stops.
    "stall": AlarmSound("organ", _beats(0, 0.14, 0.60, 0.74, duration=0.10, hertz=165.0)),
    # Three slow knocks.
    "dead": AlarmSound("pluck", _beats(0, 0.30, 0.60, duration=0.25, hertz=131.0)),
    # Three equal notes and three, and a far higher one between them.
    "rank": AlarmSound(
        "soft",
        (
            *_beats(0, 0.10, 0.20, duration=0.08, hertz=349.2),
            (0.32, 0.14, 1480.0, 1480.0),
            *_beats(0.50, 0.60, 0.70, duration=0.08, hertz=349.2),
        ),
    ),
    # Four fast notes, and one that comes late.
    "straggler": AlarmSound(
        "sine", _beats(0, 0.08, 0.16, 0.24, 0.84, duration=0.07, hertz=698.5)
    ),
    # One note, and the same after a long wait.
    "still": AlarmSound("sine", _beats(0, 0.88, duration=0.10, hertz=196.0)),
    # A whoop, twice.
    "spike": AlarmSound("square", ((0, 0.20, 330.0, 1320.0), (0.26, 0.20, 330.0, 1320.0))),
    # A low note and a high one at once after it, three times.
    "leap": AlarmSound(
        "organ",
        (
            (0, 0.06, 220.0, 220.0),
            (0.06, 0.12, 1760.0, 1760.0),
            (0.40, 0.06, 220.0, 220.0),
            (0.46, 0.12, 1760.0, 1760.0),
            (0.68, 0.06, 220.0, 220.0),
            (0.74, 0.12, 1760.0, 1760.0),
        ),
    ),
    # Five glides up, each longer.
    "rise": AlarmSound(
        "square",
        (
            (0, 0.04, 440.0, 506.0),
            (0.10, 0.07, 506.0, 581.9),
            (0.24, 0.11, 581.9, 669.2),
            (0.41, 0.18, 669.2, 769.6),
            (0.66, 0.29, 769.6, 885.0),
        ),
    ),
    # Five notes, each lower and later.
    "vanishing": AlarmSound(
        "sine",
        (
            (0, 0.08, 1046.5, 1046.5),
            (0.11, 0.08, 784.0, 784.0),
            (0.25, 0.08, 523.3, 523.3),
            (0.44, 0.08, 349.2, 349.2),
            (0.70, 0.12, 233.1, 233.1),
        ),
    ),
    # Three notes at once, then two, and one that stays.
    "collapsed": AlarmSound(
        "organ",
        (
            *_chord(0, 0.10, 622.3, 1244.5, 2489.0),
            *_chord(0.24, 0.10, 622.3, 1244.5),
            (0.48, 0.50, 622.3, 622.3),
        ),
    ),
    # Two notes, and the same two again and again.
    "echo": AlarmSound(
        "pluck",
        (
            *_beats(0, 0.26, 0.52, 0.78, duration=0.08, hertz=1865.0),
            *_beats(0.09, 0.35, 0.61, 0.87, duration=0.08, hertz=1397.0),
        ),
    ),
    # Seven short scratches on one pitch, without a pause.
    "coarse": AlarmSound(
        "clang", _beats(0, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30, duration=0.04, hertz=440.0)
    ),
    # A hiccup.
    "skipped": AlarmSound("bell", ((0, 0.06, 988.0, 988.0), (0.09, 0.12, 659.0, 659.0))),
    # Four beats, each later than the one before.
    "slow": AlarmSound("bell", _beats(0, 0.16, 0.42, 0.80, duration=0.10, hertz=523.3)),
    # One note that parts into two.
    "overfit": AlarmSound(
        "bell",
        ((0, 0.30, 262.0, 262.0), (0.36, 0.40, 262.0, 393.0), (0.36, 0.40, 262.0, 174.7)),
    ),
    # A long note, twice.
    "plateau": AlarmSound("square", _beats(0, 0.50, duration=0.40, hertz=247.0)),
    # A rising chord.
    "recovery": AlarmSound(
        "bell",
        (
            (0, 0.10, 523.3, 523.3),
            (0.10, 0.10, 659.3, 659.3),
            (0.20, 0.10, 784.0, 784.0),
            (0.30, 0.30, 1046.5, 1046.5),
        ),
    ),
    # Short, short, long, down to the tonic.
    "end": AlarmSound(
        "soft",
        (
            (0, 0.10, 659.3, 659.3),
            (0.16, 0.10, 587.3, 587.3),
            (0.32, 0.55, 440.0, 440.0),
        ),
    ),
}
