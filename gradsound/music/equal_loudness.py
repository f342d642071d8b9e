"""Equal loudness: how much louder or softer a voice must be at each pitch.

The ear hears low tones less. Where that is not made up for, a norm that falls fades away,
and one that rises gets louder by 20 dB.

Shapes: P pitches, N frames, F frequencies; otherwise any.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from gradsound.synth.voices.program import CONTROLS, evaluate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.synth.voices.program import Program

# The contour of 60 phon of ISO 226:2003, in dB above its level at 1000 Hz, which its
# formula gives at the frequencies of its table.
_TABLE = """
20 49.5  25 44.2  31.5 39.1  40 34.2  50 30.0  63 25.9  80 22.1  100 18.7  125 15.6
160 12.5  200 9.9  250 7.5  315 5.4  400 3.5  500 2.1  630 0.8  800 -0.1  1000 0.0
1250 2.2  1600 3.2  2000 0.0  2500 -2.7  3150 -3.6  4000 -2.4  5000 0.9  6300 6.4
8000 11.7  10000 13.2  12500 8.6
"""
_CONTOUR_HERTZ, _CONTOUR = np.array(_TABLE.split(), float).reshape(-1, 2).T
_BEYOND = 60.0  # dB; what is beyond its ends is heard as good as not at all

_PITCHES = np.geomspace(32.0, 16_384.0, 37)  # Hz, four an octave
_MOST, _LEAST = 12.0, -12.0  # dB; a voice that is hardly heard at all stays so
# The lowest notes, on which norms of 0 rest, get less: ISO 226 would have them so loud
# that, as BS.1770 weighs them, a run of dead layers were 5 LU louder than all others.
_LOW, _LOWEST = 130.0, 62.0  # Hz; below the one less, from the other on least
_MOST_LOWEST = 5.5  # dB
_RATE, _FRAMES = 44_100.0, 4096  # of what is looked at, 93 ms
_SINE = 0.5  # power of a sine at its peak of 1


def contour(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """The level in dB at which a sine is as loud as one of 1000 Hz at 0 dB."""
    places = np.log(hertz), np.log(_CONTOUR_HERTZ)
    return np.asarray(np.interp(*places, _CONTOUR, _BEYOND, _BEYOND))


def gains(program: Program, hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear gains that make a voice as loud, at each pitch, as a full sine of 1000 Hz.

    Its partials are weighted by the contour and added as powers, so a voice of many is not
    made louder for a fundamental that nobody needs. 0.25 to 4.
    """
    decibels = np.interp(np.log(hertz), np.log(_PITCHES), _decibels(program))
    return np.asarray(10 ** (decibels / 20))


@lru_cache(maxsize=64)
def _decibels(program: Program) -> NDArray[np.float64]:
    """What `gains` has at the pitches of the table, in dB, shape (P,)."""
    frames = np.arange(_FRAMES)
    turns = np.rint(_PITCHES / _RATE * 2.0**32)[:, None] / 2.0**32  # (P, 1)
    given = {
        "phase": turns * frames - np.rint(turns * frames),
        "dt": turns,
        "time": frames / _RATE,
        "noise": np.random.default_rng(0).uniform(-1, 1, _FRAMES),
        **{name: np.array(0.0 if name == "deviation" else 0.5) for name in CONTROLS},
    }
    inputs = {name: np.asarray(value, np.float32) for name, value in given.items()}
    with np.errstate(all="ignore"):
        tones = evaluate(program, inputs)
    tones = np.nan_to_num(np.broadcast_to(tones, (len(_PITCHES), _FRAMES)))  # (P, N)
    window = np.hanning(_FRAMES)
    power = np.abs(np.fft.rfft(tones * window)) ** 2  # (P, F)
    power *= 2 / (_FRAMES * np.sum(window**2))
    hertz = np.asarray(np.fft.rfftfreq(_FRAMES, 1 / _RATE), np.float64)
    heard = power[:, 1:] @ 10 ** (-contour(hertz[1:]) / 10)
    missing = 10 * np.log10(_SINE / np.maximum(heard, 1e-12))
    low = np.log(_PITCHES), np.log([_LOWEST, _LOW])
    return np.asarray(np.clip(missing, _LEAST, np.interp(*low, [_MOST_LOWEST, _MOST])))
