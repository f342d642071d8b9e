"""The voices: functions of a phase, written as users write theirs.

Each is within -1..1, and none makes frequencies above 0.45 of the sample rate that are
over -75 dB of the whole: ``dt``, the turns of a frame, says how many partials there is
room for. Where a voice has no sharp limit, the figures with ``dt`` are fitted to that.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from gradsound.errors import warn
from gradsound.name_matching import unknown
from gradsound.synth.voices.functions import TAU
from gradsound.synth.voices.program import Program
from gradsound.synth.voices.tracer import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Voice: TypeAlias = "str | Program | Callable[..., Any]"

_DRAWBARS = ((1, 8), (2, 6), (3, 5), (4, 4), (6, 2), (8, 3))  # partials and their levels


def sine(phase: Any) -> Any:
    """A pure tone."""
    return np.sin(TAU * phase)


def soft(phase: Any, dt: Any) -> Any:
    """Three partials, 6 dB apart: low notes are heard on small loudspeakers too."""
    return _partials(phase, dt, ((1, 4), (2, 2), (3, 1)))


def organ(phase: Any, dt: Any) -> Any:
    """Six drawbars: full, and steady."""
    return _partials(phase, dt, _DRAWBARS)


def bell(phase: Any, bright: Any, dt: Any) -> Any:
    """Frequency modulation (Chowning 1973): what deviates above its usual rings."""
    index = bright * np.clip(0.095 / dt - 1.55, 0, 3)
    return np.sin(TAU * phase + index * np.sin(2 * TAU * phase))


def saw(phase: Any, dt: Any) -> Any:
    """All partials, the k-th as loud as 1/k, and softer towards the limit."""
    return _saw(phase, _slope(dt))


def square(phase: Any, dt: Any) -> Any:
    """The odd partials of a saw: hollow."""
    a = _slope(dt)
    steep = 2 * a / (1 - a * a)  # sum of a^k sin(k x) / k over odd k: half of this arctan
    return np.arctan(steep * np.sin(TAU * phase)) / np.arctan(steep)


def pluck(phase: Any, time: Any, dt: Any) -> Any:
    """A string: bright as it begins, then darker and softer."""
    return np.exp(-8 * time) * _saw(phase, _slope(dt) * np.exp(-np.minimum(30 * time, 9)))


def hiss(phase: Any, noise: Any) -> Any:
    """As much noise as tone."""
    return 0.5 * np.sin(TAU * phase) + 0.5 * noise


def growl(phase: Any, bright: Any, time: Any, dt: Any) -> Any:
    """Driven, and rough: 35 beats a second, the rougher the brighter."""
    drive = np.clip(0.09 / dt - 0.57, 0.02, 1 + 7 * bright)
    rough = 0.75 + 0.25 * np.sin(35 * TAU * time)
    return rough * np.tanh(drive * np.sin(TAU * phase)) / np.tanh(drive)


def clang(phase: Any, dt: Any) -> Any:
    """A dense inharmonic alarm, by frequency modulation; its pitch is five times as high.

    The ratio 7 : 5 has no partial at the pitch, nor any two an octave apart that are loud:
    nothing blends.
    """
    index = np.clip(0.028 / dt - 1.4, 0, 5)
    return np.sin(5 * TAU * phase + index * np.sin(7 * TAU * phase))


def _partials(phase: Any, dt: Any, partials: tuple[tuple[int, int], ...]) -> Any:
    """Sines, each of which but the first goes as it nears the limit."""
    total = sum(level for _, level in partials)
    return sum(
        (1 if k == 1 else np.clip(9 - 20 * k * dt, 0, 1))
        * (level / total)
        * np.sin(k * TAU * phase)
        for k, level in partials
    )


def _slope(dt: Any) -> Any:
    """How much softer each partial is than the one before, besides what its number does."""
    return np.exp(-dt * (12 + 110 * dt))


def _saw(phase: Any, a: Any) -> Any:
    """The sum of a^k sin(k x) / k over all k, which is this arctan, at a peak of 1."""
    angle = np.arctan(a * np.sin(TAU * phase) / (1 - a * np.cos(TAU * phase)))
    return angle / np.arctan(a / np.sqrt(1 - a * a))


VOICES: Mapping[str, Callable[..., Any]] = {
    voice.__name__: voice
    for voice in (sine, soft, organ, bell, saw, square, pluck, hiss, growl)
}


def find_voice(voice: Voice) -> Program:
    """Returns the program of a voice: of its name, or of what a user wrote.

    Raises:
        TypeError: If it cannot be a voice.
        ValueError: If there is none of that name; the message has the nearest.
        VoiceError: If it cannot be compiled; the message has the operation and its line.
    """
    if isinstance(voice, Program):
        return voice
    if isinstance(voice, str):
        if ":" in voice:
            raise ValueError(
                f"no voice {voice!r}: module:function is for the command line; import the "
                "function, and give that"
            )
        if voice not in VOICES:
            raise ValueError(unknown("voice", voice, VOICES))
        return program_of(VOICES[voice])
    program = trace(voice)
    if find_spec("llvmlite") is None:
        warn(
            f"numpy plays voice {program.name!r}, as llvmlite is not installed: the same "
            "samples, more slowly. pip install 'gradsound[jit]' makes it machine code"
        )
    return program


@lru_cache(maxsize=32)
def program_of(voice: Callable[..., Any]) -> Program:
    """The program of a voice of this module, which is traced once."""
    return trace(voice)
