"""The instruments of General MIDI that stand for voices, and its percussion for alarms.

A program of General MIDI 1 is a number from 0 to 127; in the percussion channel, a key from
35 to 81 is an instrument of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.tracks import INFINITY_HERTZ

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

# By voice: a program for notes, which starts at once, and one for a drone, which sustains.
# Of those near the voice, they are the ones that two soundfonts, TimGM6mb and FluidR3, have
# in tune.
_PROGRAMS: Mapping[str, tuple[int, int]] = {
    "sine": (79, 79),  # ocarina
    "soft": (4, 89),  # electric piano, warm pad
    "organ": (16, 16),  # drawbar organ
    "bell": (10, 92),  # music box, bowed glass
    "saw": (81, 81),  # sawtooth lead
    "square": (87, 87),  # lead "bass and lead"
    "pluck": (24, 90),  # nylon guitar, polysynth
    "hiss": (75, 75),  # pan flute
    "growl": (84, 84),  # lead "charang"
}
_OTHER_PROGRAMS = (4, 89)  # of a user's voice, as of "soft"

# Percussion from low to high; each begins at a pitch of an alarm sound, in Hz.
_ALARM_HERTZ = (110.0, 175.0, 280.0, 440.0, 700.0, 1100.0, 1800.0)
_ALARM_KEYS = np.array([36, 41, 45, 48, 77, 76, 67, 81])  # bass drum to open triangle
_NAN_KEY, _INFINITY_KEY = 52, 55  # chinese cymbal, splash cymbal
BREATH_KEY = 70  # maracas


def find_program(voice: str, *, sustained: bool) -> int:
    """Returns the program that stands for a voice.

    Args:
        voice: Name of the voice.
        sustained: Whether its notes are a drone.
    """
    return _PROGRAMS.get(voice, _OTHER_PROGRAMS)[sustained]


def clang_keys(hertz: NDArray[np.float64]) -> NDArray[np.intp]:
    """Returns the percussion of the clangs of NaN and infinity, by their pitches."""
    return np.where(hertz == INFINITY_HERTZ, _INFINITY_KEY, _NAN_KEY)


def alarm_keys(hertz: NDArray[np.float64]) -> NDArray[np.intp]:
    """Returns the percussion of notes of alarm sounds: high for a high pitch."""
    keys: NDArray[np.intp] = _ALARM_KEYS[np.searchsorted(_ALARM_HERTZ, hertz, "right")]
    return keys
