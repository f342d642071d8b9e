"""From norms to pitches, for the finite ones.

The same norm is the same pitch in every run, so runs can be compared by ear.
Shapes: any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradsound.name_matching import unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

Norms: TypeAlias = NDArray[np.floating]

SCALES: Mapping[str, tuple[int, ...]] = {  # semitones above the tonic
    "any": (),
    "chromatic": tuple(range(12)),
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "pentatonic": (0, 2, 4, 7, 9),
}


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
        scale: One of `SCALES`: which notes there are, of those with the anchor as the
            tonic; "any" has every pitch.
        invert: Whether larger norms are lower.

    Raises:
        ValueError: If not 0 < ``lowest`` < ``highest``, ``anchor`` or ``semitones`` is not
            above 0, or there is no such scale.
    """

    anchor: float
    semitones: float
    lowest: float
    highest: float
    scale: str = "any"
    invert: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.lowest < self.highest < np.inf:
            raise ValueError(f"need 0 < lowest < highest, got {self}")
        if not (0 < self.anchor < np.inf and 0 < self.semitones < np.inf):
            raise ValueError(f"need anchor > 0 and semitones > 0, got {self}")
        if self.scale not in SCALES:
            raise ValueError(unknown("scale", self.scale, SCALES))

    def hertz(self, norms: Norms) -> NDArray[np.float64]:
        """Pitches in Hz of norms, which must be 0 or more."""
        with np.errstate(divide="ignore"):  # log10(0) is -inf, which the bound takes
            decades = np.log10(np.asarray(norms, np.float64))
        octaves = decades * (-self.semitones if self.invert else self.semitones) / 12
        bounds = np.log2(np.array([self.lowest, self.highest]) / self.anchor)
        bounded = np.clip(octaves, *bounds)
        return np.asarray(self.anchor * np.exp2(self._on_scale(bounded, bounds)))

    def _on_scale(
        self, octaves: NDArray[np.float64], bounds: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The nearest notes of the scale that are within the bounds, in octaves."""
        degrees = np.array(SCALES[self.scale]) / 12
        if not degrees.size:
            return octaves
        low, high = np.floor(bounds).astype(int)
        notes = (np.arange(low, high + 1)[:, None] + degrees).ravel()
        notes = notes[(notes >= bounds[0] - 1e-9) & (notes <= bounds[1] + 1e-9)]
        if not notes.size:  # the bounds are nearer than two notes
            return octaves
        return np.asarray(notes[np.searchsorted((notes[1:] + notes[:-1]) / 2, octaves)])


Pitch: TypeAlias = LinearPitch | LogPitch
