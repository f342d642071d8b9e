"""The built-in voices, functions of a phase in numpy; and a voice's program by its name.

Each voice stays within -1..1. Its partials above 0.45 of the sample rate are together below
-75 dB of the whole. ``dt``, the turns a frame, decides how many partials fit. In voices
without a sharp limit, the numbers beside ``dt`` are fitted to these -75 dB.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from gradsound.errors import warn
from gradsound.name_matching import describe_unknown
from gradsound.synth.voices.functions import TAU
from gradsound.synth.voices.program import Program
from gradsound.synth.voices.tracer import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Voice: TypeAlias = "str | Program | Callable[..., Any]"

_BREATH_PARTIALS = (11, 13, 17, 19, 23, 29, 31, 37, 43, 53, 61, 71, 83)
_BREATH_PEAK = 6.5  # of their sum
_GOLDEN = 0.618  # turns
_DRAWBARS = ((1, 8), (2, 6), (3, 5), (4, 4), (6, 2), (8, 3))  # partials and their levels


def sine(phase: Any) -> Any:
    """A pure tone."""
    return np.sin(TAU * phase)


def soft(phase: Any, dt: Any) -> Any:
    """Three partials, 6 dB apart: small loudspeakers play its low notes too."""
    return _partials(phase, dt, ((1, 4), (2, 2), (3, 1)))


def organ(phase: Any, dt: Any) -> Any:
    """Six drawbars: full and steady."""
    return _partials(phase, dt, _DRAWBARS)


def bell(phase: Any, bright: Any, dt: Any) -> Any:
    """Frequency modulation (Chowning 1973): a norm above its usual value rings."""
    index = bright * np.clip(0.095 / dt - 1.55, 0, 3)
    return np.sin(TAU * phase + index * np.sin(2 * TAU * phase))


def saw(phase: Any, dt: Any) -> Any:
    """All partials, the k-th at a level of 1/k, softer towards the limit."""
    return _saw(phase, _slope(dt))


def square(phase: Any, dt: Any) -> Any:
    """The odd partials of a saw: hollow."""
    a = _slope(dt)
    steep = 2 * a / (1 - a * a)  # sum of a^k sin(k x) / k over odd k: half of this arctan
    return np.arctan(steep * np.sin(TAU * phase)) / np.arctan(steep)


def pluck(phase: Any, time: Any, dt: Any) -> Any:
    """A string: bright at first, then darker and softer."""
    return np.exp(-8 * time) * _saw(phase, _slope(dt) * np.exp(-np.minimum(30 * time, 9)))


def hiss(phase: Any, noise: Any) -> Any:
    """A tone and white noise at the same level."""
    return 0.5 * np.sin(TAU * phase) + 0.5 * noise


def growl(phase: Any, bright: Any, time: Any, dt: Any) -> Any:
    """Overdriven, with 35 beats a second: a norm above its usual value distorts."""
    drive = np.clip(0.09 / dt - 0.57, 0.02, 1 + 7 * bright)
    rough = 0.75 + 0.25 * np.sin(35 * TAU * time)
    return rough * np.tanh(drive * np.sin(TAU * phase)) / np.tanh(drive)


def clang(phase: Any, dt: Any) -> Any:
    """A dense inharmonic alarm by frequency modulation, five times as high as its pitch.

    With the ratio 7 : 5, no partial is at the pitch and no two loud partials are an octave
    apart, so the alarm does not blend with notes.
    """
    index = np.clip(0.028 / dt - 1.4, 0, 5)
    return np.sin(5 * TAU * phase + index * np.sin(7 * TAU * phase))


def breath(phase: Any) -> Any:
    """A breath: as from 350 to 2700 Hz, if its pitch is 32 Hz.

    The partials are primes and begin at phases that are spread evenly. So they have no
    common pitch. Real noise would have no upper limit.
    """
    tones = (
        np.sin(TAU * (partial * phase + _GOLDEN * k))
        for k, partial in enumerate(_BREATH_PARTIALS)
    )
    return sum(tones) / _BREATH_PEAK


def _partials(phase: Any, dt: Any, partials: tuple[tuple[int, int], ...]) -> Any:
    """Returns a sum of sines; all but the first fade out towards the limit."""
    total = sum(level for _, level in partials)
    return sum(
        (1 if k == 1 else np.clip(9 - 20 * k * dt, 0, 1))
        * (level / total)
        * np.sin(k * TAU * phase)
        for k, level in partials
    )


def _slope(dt: Any) -> Any:
    """Returns the ratio of each partial's level to the last one's, before the 1/k."""
    return np.exp(-dt * (12 + 110 * dt))


def _saw(phase: Any, a: Any) -> Any:
    """Returns the sum of a^k sin(k x) / k over all k, an arctan, scaled to a peak of 1."""
    angle = np.arctan(a * np.sin(TAU * phase) / (1 - a * np.cos(TAU * phase)))
    return angle / np.arctan(a / np.sqrt(1 - a * a))


VOICES: Mapping[str, Callable[..., Any]] = {
    voice.__name__: voice
    for voice in (sine, soft, organ, bell, saw, square, pluck, hiss, growl)
}


def find_voice(voice: Voice) -> Program:
    """Returns the program of a voice, by name or from a user's function or module.

    Raises:
        TypeError: If ``voice`` is neither a name nor callable.
        ValueError: If no voice has that name; the message has the nearest name.
        VoiceError: If the voice cannot be compiled; the message has the operation and its
            line.
    """
    if isinstance(voice, Program):
        return voice
    if isinstance(voice, str):
        return trace_builtin(VOICES[check_name(voice)])
    program = trace(voice)
    if find_spec("llvmlite") is None:
        warn(
            f"numpy renders voice {program.name!r}, because llvmlite is not installed: the "
            "same samples, more slowly. pip install llvmlite compiles it to machine code"
        )
    return program


def check_name(voice: str) -> str:
    """Returns the name of a built-in voice, without tracing the voice.

    Raises:
        ValueError: If no voice has it; the message has the nearest name.
    """
    if ":" in voice:
        raise ValueError(
            f"no voice {voice!r}: module:function is for the command line; import the "
            "function and pass it"
        )
    if voice not in VOICES:
        raise ValueError(describe_unknown("voice", voice, VOICES))
    return voice


def known_voice(voice: Voice) -> str | Program:
    """Returns the name of a built-in voice, without tracing it, or another's program.

    Raises:
        ValueError, VoiceError: As `find_voice`.
    """
    return check_name(voice) if isinstance(voice, str) else find_voice(voice)


@lru_cache(maxsize=32)
def trace_builtin(voice: Callable[..., Any]) -> Program:
    """Returns the program of a built-in voice, and traces each voice only once."""
    return trace(voice)
