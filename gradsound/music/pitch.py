"""From norms to pitches, for the finite ones.

The same norm is the same pitch in every run, so runs can be compared by ear.
Shapes: any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Norms: TypeAlias = NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearPitch:
    """Equal differences of norm are equal differences in Hz.

    Attributes:
        base: Hz at norm 0.
        slope: Hz for each unit of norm.

    Raises:
        ValueError: If ``base`` is not above 0 or ``slope`` is below 0.
    """

    base: float
    slope: float

    def __post_init__(self) -> None:
        if not (0 < self.base < np.inf and 0 <= self.slope < np.inf):
            raise ValueError(f"need base > 0 and slope >= 0, got {self}")

    def hertz(self, norms: Norms) -> NDArray[np.float64]:
        """Pitches in Hz of norms, which must be 0 or more; not bounded above."""
        return self.base + self.slope * np.asarray(norms, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPitch:
    """Equal ratios of norm are equal intervals, between two bounds.

    Attributes:
        anchor: Hz at norm 1.
        semitones: How far ten times the norm is higher.
        lowest: Hz; smaller norms, and 0, are held there.
        highest: Hz; larger norms are held there.

    Raises:
        ValueError: If not 0 < ``lowest`` < ``highest``, or ``anchor`` or ``semitones`` is
            not above 0.
    """

    anchor: float
    semitones: float
    lowest: float
    highest: float

    def __post_init__(self) -> None:
        if not 0 < self.lowest < self.highest < np.inf:
            raise ValueError(f"need 0 < lowest < highest, got {self}")
        if not (0 < self.anchor < np.inf and 0 < self.semitones < np.inf):
            raise ValueError(f"need anchor > 0 and semitones > 0, got {self}")

    def hertz(self, norms: Norms) -> NDArray[np.float64]:
        """Pitches in Hz of norms, which must be 0 or more."""
        with np.errstate(divide="ignore"):  # log10(0) is -inf, which the bound takes
            decades = np.log10(np.asarray(norms, np.float64))
        octaves = decades * self.semitones / 12 + np.log2(self.anchor)
        bounded = np.clip(octaves, np.log2(self.lowest), np.log2(self.highest))
        return np.asarray(np.exp2(bounded))


Pitch: TypeAlias = LinearPitch | LogPitch
