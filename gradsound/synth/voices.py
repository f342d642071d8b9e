"""The voices: periodic functions of a phase.

Each returns values within -1..1 for phases in turns, of any shape, float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Turns: TypeAlias = NDArray[np.float64]

_TAU = 2 * np.pi
_INDEX = 5.0  # of modulation; the sidebands fill five times the modulator on each side
_RATIO = 2**0.5  # irrational: no two sidebands are an octave apart, so nothing blends


@dataclass(frozen=True, slots=True)
class Voice:
    """A sound's shape.

    Attributes:
        wave: Its function of the phase.
        bandwidth: Its highest component as a multiple of its pitch; what lies above is
            under -80 dB.
    """

    wave: Callable[[Turns], Turns]
    bandwidth: float


def sine(phase: Turns) -> Turns:
    """A pure tone."""
    return np.asarray(np.sin(_TAU * phase))


def soft(phase: Turns) -> Turns:
    """Three partials, 6 dB apart: low notes are heard on small loudspeakers too."""
    turn = _TAU * phase
    return np.asarray(4 * np.sin(turn) + 2 * np.sin(2 * turn) + np.sin(3 * turn)) / 7


def harsh(phase: Turns) -> Turns:
    """A dense inharmonic clang, by frequency modulation (Chowning 1973)."""
    return np.asarray(np.sin(_TAU * phase + _INDEX * np.sin(_RATIO * _TAU * phase)))


VOICES: Mapping[str, Voice] = {
    "sine": Voice(sine, 1.0),
    "soft": Voice(soft, 3.0),
    # The 12th sideband of index 5 has J12(5) = 8e-5, -82 dB.
    "harsh": Voice(harsh, 1.0 + 12 * _RATIO),
}
