"""Pitch: the frequency in Hz of a finite norm, on a logarithmic or a linear scale.

The same norm has the same pitch in every run whose norms fit, so a listener can compare
runs. `gradsound.music.anchor` moves the pitches for a run whose norms lie elsewhere.

Shapes: any.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, log2, log10
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradsound.name_matching import describe_unknown
from gradsound.synth.sample_rate import MAX_PITCH, SAMPLE_RATE

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
_AUDIBLE_HERTZ = 1.0  # above the base; nobody hears a smaller difference at 200 Hz


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearPitch:
    """Pitch that rises by the same number of Hz for each unit of norm.

    Attributes:
        base: Hz at norm 0.
        slope: Hz for each unit.
        norm: The unit: the norm that is ``slope`` Hz above the base. gradsound sets it to a
            power of ten for a run whose norms lie elsewhere.

    Raises:
        ValueError: If ``base`` or ``norm`` is not above 0, or ``slope`` is below 0.

    Example:
        >>> import gradsound
        >>> import numpy as np
        >>> pitch = gradsound.LinearPitch(base=200.0, slope=100.0)
        >>> pitch.hertz(np.array([0.0, 1.0, 2.5])).tolist()
        [200.0, 300.0, 450.0]
    """

    base: float
    slope: float
    norm: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.base < np.inf and 0 <= self.slope < np.inf):
            raise ValueError(f"need base > 0 and slope >= 0, got {self}")
        if not 0 < self.norm < np.inf:
            raise ValueError(f"need norm > 0, got {self}")

    def hertz(self, norms: Norms) -> NDArray[np.float64]:
        """Returns the pitches of norms in Hz, without an upper bound.

        Args:
            norms: 0 or more, any shape.
        """
        return self.base + self.slope * (np.asarray(norms, np.float64) / self.norm)

    @property
    def decades(self) -> tuple[float, float]:
        """Common logarithms of the norms between which the pitch audibly changes.

        Larger norms are held at 0.45 of 44.1 kHz, and smaller ones are within 1 Hz of 0.
        """
        highest = MAX_PITCH * SAMPLE_RATE - self.base
        if not self.slope or highest <= _AUDIBLE_HERTZ:  # all norms sound alike
            return -inf, inf
        low, high = _AUDIBLE_HERTZ / self.slope, highest / self.slope
        return log10(low) + log10(self.norm), log10(high) + log10(self.norm)

    def transposed(self, semitones: float) -> LinearPitch:
        """Returns the pitch so many semitones higher."""
        ratio = 2 ** (semitones / 12)
        return replace(self, base=self.base * ratio, slope=self.slope * ratio)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPitch:
    """Pitch that rises by the same interval for each factor of norm, within two bounds.

    Attributes:
        anchor: Hz at ``norm``.
        semitones: Interval for ten times the norm.
        lowest: Hz; the pitch of all smaller norms.
        highest: Hz; the pitch of all larger norms.
        scale: One of `SCALES`, with the anchor as its tonic. Pitches are rounded to the
            nearest note of the scale; "any" rounds none.
        invert: Whether larger norms are lower.
        norm: The norm at the anchor. gradsound sets it to a power of ten for a run whose
            norms lie elsewhere.

    Raises:
        ValueError: If not 0 < ``lowest`` < ``highest``, if ``anchor``, ``semitones`` or
            ``norm`` is not above 0, or if the scale is unknown.

    Example:
        >>> import gradsound
        >>> import numpy as np
        >>> pitch = gradsound.LogPitch(
        ...     anchor=440.0, semitones=12.0, lowest=55.0, highest=3520.0
        ... )
        >>> pitch.hertz(np.array([0.0, 0.1, 1.0, 10.0, 1e6])).tolist()
        [55.0, 220.0, 440.0, 880.0, 3520.0]
    """

    anchor: float
    semitones: float
    lowest: float
    highest: float
    scale: str = "any"
    invert: bool = False
    norm: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.lowest < self.highest < np.inf:
            raise ValueError(f"need 0 < lowest < highest, got {self}")
        if not (0 < self.anchor < np.inf and 0 < self.semitones < np.inf):
            raise ValueError(f"need anchor > 0 and semitones > 0, got {self}")
        if not 0 < self.norm < np.inf:
            raise ValueError(f"need norm > 0, got {self}")
        if self.scale not in SCALES:
            raise ValueError(describe_unknown("scale", self.scale, SCALES))

    def hertz(self, norms: Norms) -> NDArray[np.float64]:
        """Returns the pitches of norms in Hz.

        Args:
            norms: 0 or more, any shape.
        """
        with np.errstate(divide="ignore"):  # log10(0) is -inf; the lower bound replaces it
            decades = np.log10(np.asarray(norms, np.float64) / self.norm)
        octaves = decades * (-self.semitones if self.invert else self.semitones) / 12
        bounds = np.log2(np.array([self.lowest, self.highest]) / self.anchor)
        bounded = np.clip(octaves, *bounds)
        return np.asarray(self.anchor * np.exp2(self._round_to_scale(bounded, bounds)))

    @property
    def decades(self) -> tuple[float, float]:
        """Common logarithms of the norms beyond which the pitch stays at a bound."""
        octaves = log2(self.lowest / self.anchor), log2(self.highest / self.anchor)
        direction = -1 if self.invert else 1
        low, high = sorted(direction * 12 * octave / self.semitones for octave in octaves)
        return low + log10(self.norm), high + log10(self.norm)

    def transposed(self, semitones: float) -> LogPitch:
        """Returns the pitch so many semitones higher, within the same bounds."""
        return replace(self, anchor=self.anchor * 2 ** (semitones / 12))

    def _round_to_scale(
        self, octaves: NDArray[np.float64], bounds: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Returns the nearest notes of the scale within the bounds, in octaves."""
        degrees = np.array(SCALES[self.scale]) / 12
        if not degrees.size:
            return octaves
        low, high = np.floor(bounds).astype(int)
        notes = (np.arange(low, high + 1)[:, None] + degrees).ravel()
        notes = notes[(notes >= bounds[0] - 1e-9) & (notes <= bounds[1] + 1e-9)]
        if not notes.size:  # the bounds lie between two notes
            return octaves
        return np.asarray(notes[np.searchsorted((notes[1:] + notes[:-1]) / 2, octaves)])


Pitch: TypeAlias = LinearPitch | LogPitch
