"""Equal loudness: the gain of a voice at each pitch, by the ISO 226 contour of 60 phon.

The ear is less sensitive to low tones. Without these gains, a falling norm would fade away
and a rising one would get up to 20 dB louder.

ITU-R BS.1770, by which programmes are compared, weighs low tones otherwise: by it, the
notes around 150 Hz are 6 dB louder than those of 800 Hz. The registers of several bands
even this out. A single band does not, so its gains are mostly those of BS.1770.

Shapes: P pitches, N frames, F frequencies; otherwise any.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.synth.voices.program import INPUTS, evaluate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from gradsound.synth.voices.program import Program

# ISO 226:2003, contour of 60 phon: Hz, and dB above the level at 1000 Hz. The values follow
# from the standard's formula at the frequencies of its table.
_TABLE = """
20 49.5  25 44.2  31.5 39.1  40 34.2  50 30.0  63 25.9  80 22.1  100 18.7  125 15.6
160 12.5  200 9.9  250 7.5  315 5.4  400 3.5  500 2.1  630 0.8  800 -0.1  1000 0.0
1250 2.2  1600 3.2  2000 0.0  2500 -2.7  3150 -3.6  4000 -2.4  5000 0.9  6300 6.4
8000 11.7  10000 13.2  12500 8.6
"""
_CONTOUR_HERTZ, _CONTOUR_DB = np.array(_TABLE.split(), float).reshape(-1, 2).T
_OUTSIDE_DB = 60.0  # dB outside the table, where partials are all but inaudible

_PITCHES = np.geomspace(32.0, 16_384.0, 37)  # Hz, four an octave
_GAIN_MIN, _GAIN_MAX = -12.0, 12.0  # dB; a nearly inaudible voice stays quiet
# With the full gain of ISO 226, a run of the lowest notes would be 5 LU louder than all
# others by BS.1770, so the gain is limited to 5.5 dB there.
_LOW_HERTZ, _LOWEST_HERTZ = 130.0, 62.0  # Hz; between them the limit falls to the lower one
_GAIN_MAX_LOWEST = 5.5  # dB
# BS.1770: the two filters of the K-weighting at 48 kHz, each numerator and denominator.
_K_FILTERS = (
    (
        (1.53512485958697, -2.69169618940638, 1.19839281085285),
        (1.0, -1.69065929318241, 0.73248077421585),
    ),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)
_K_RATE, _K_OFFSET_DB = 48_000.0, -0.691  # Hz; dB, so that 1000 Hz has 0 dB
_SINGLE_SHARE = 0.75  # of BS.1770 in the gains of a single band; the rest is of ISO 226
_SAMPLE_RATE, _FRAMES = 44_100.0, 4096  # of the analysed tone: 93 ms
_SINE_POWER = 0.5  # of a sine with a peak of 1


def contour(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the level in dB at which a sine is as loud as 0 dB at 1000 Hz."""
    places = np.log(hertz), np.log(_CONTOUR_HERTZ)
    return np.asarray(np.interp(*places, _CONTOUR_DB, _OUTSIDE_DB, _OUTSIDE_DB))


def k_weighting(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the level in dB that BS.1770 measures of a sine, above that of 1000 Hz."""
    delay = np.exp(-2j * np.pi * np.asarray(hertz) / _K_RATE)
    response = np.ones_like(delay)
    for numerator, denominator in _K_FILTERS:
        response *= np.polyval(numerator[::-1], delay)
        response /= np.polyval(denominator[::-1], delay)
    return np.asarray(20 * np.log10(np.abs(response)) + _K_OFFSET_DB)


def gains(
    program: Program,
    hertz: NDArray[np.float64],
    single: float = 0.0,
    single_db: float = 0.0,
) -> NDArray[np.float64]:
    """Returns the linear gains that make a voice as loud as a full sine of 1000 Hz.

    The contour weights each partial of the voice, and the weighted powers add up. So a
    voice with many partials gets no gain for an inaudible fundamental.

    Args:
        program: The program of the voice.
        hertz: Pitches, any shape.
        single: How far the voice alone makes the loudness of the sound, 0 to 1. At 1, the
            gains are mostly those of BS.1770.
        single_db: Loudness by BS.1770 that a single voice shall have, as from
            `mean_loudness`.

    Returns:
        0.25 to 4, same shape.
    """
    table, measured = _gains_db(program)
    if single:
        table = table + _SINGLE_SHARE * single * (measured + single_db - table)
        table = np.clip(table, _GAIN_MIN, _GAIN_MAX)
    decibels = np.interp(np.log(hertz), np.log(_PITCHES), table)
    return np.asarray(10 ** (decibels / 20))


def measure_loudness(programs: Iterable[Program]) -> None:
    """Measures the loudness of voices, about 10 ms each, and keeps it for `gains`.

    A sound device waits for each block of samples. So a measurement at the first note of a
    voice would be late.
    """
    for program in programs:
        _gains_db(program)


def mean_loudness(programs: Sequence[Program], hertz: Sequence[float]) -> float:
    """Returns how loud notes are on average by BS.1770, in dB above a sine of 1000 Hz.

    Args:
        programs: The program of each note, whose gain is that of ISO 226.
        hertz: The pitch of each note.
    """
    places = np.log(hertz)
    levels = [
        np.interp(place, np.log(_PITCHES), by_contour - by_weighting)
        for place, (by_contour, by_weighting) in zip(places, map(_gains_db, programs))
    ]
    return float(10 * np.log10(np.mean(10 ** (np.array(levels) / 10))))


@lru_cache(maxsize=64)
def _gains_db(program: Program) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the gains at `_PITCHES` in dB by ISO 226 and by BS.1770, each shape (P,)."""
    inputs = {name: _make_input(name) for name in program.inputs}
    with np.errstate(all="ignore"):
        tones = evaluate(program, inputs)
    tones = np.nan_to_num(np.broadcast_to(tones, (len(_PITCHES), _FRAMES)))  # (P, N)
    window, contour_weights, k_weights = _make_weights()
    power = np.abs(np.fft.rfft(tones * window)) ** 2  # (P, F)
    power *= 2 / (_FRAMES * np.sum(window**2))
    loudness = power[:, 1:] @ contour_weights
    missing = 10 * np.log10(_SINE_POWER / np.maximum(loudness, 1e-12))
    measured = power[:, 1:] @ k_weights
    unmeasured = 10 * np.log10(_SINE_POWER / np.maximum(measured, 1e-12))
    places = np.log(_PITCHES), np.log([_LOWEST_HERTZ, _LOW_HERTZ])
    limit = np.interp(*places, [_GAIN_MAX_LOWEST, _GAIN_MAX])
    by_contour = np.asarray(np.clip(missing, _GAIN_MIN, limit))
    return by_contour, np.asarray(unmeasured)


@lru_cache(maxsize=len(INPUTS))
def _make_input(name: str) -> NDArray[np.float32]:
    """Returns an input of the analysed tones, which broadcasts to the shape (P, N)."""
    frames = np.arange(_FRAMES)
    turns = np.rint(_PITCHES / _SAMPLE_RATE * 2.0**32)[:, None] / 2.0**32  # (P, 1)
    value: Any = 0.0 if name == "deviation" else 0.5
    if name == "phase":
        value = turns * frames - np.rint(turns * frames)
    elif name == "dt":
        value = turns
    elif name == "time":
        value = frames / _SAMPLE_RATE
    elif name == "noise":  # few voices have noise, and numpy.random takes 8 ms to load
        value = np.random.default_rng(0).uniform(-1, 1, _FRAMES)
    return np.asarray(value, np.float32)


@lru_cache(maxsize=1)
def _make_weights() -> tuple[NDArray[np.float64], ...]:
    """Returns the window, shape (N,), and the weights of powers by both, each (F - 1,)."""
    hertz = np.asarray(np.fft.rfftfreq(_FRAMES, 1 / _SAMPLE_RATE), np.float64)[1:]
    weights = 10 ** (-contour(hertz) / 10), 10 ** (k_weighting(hertz) / 10)
    return np.hanning(_FRAMES), *weights
