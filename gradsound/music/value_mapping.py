"""Values beside norms (loss, learning rate, ...) and what they drive in the sound.

Shapes: S steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRIVEN = ("tempo", "brightness", "voice")
_SLOWEST, _FASTEST = 2.0, 0.5  # times as long a step is at the lowest and highest value
_OCTAVES = 3.0  # from the lowest value to the highest
_LOWEST = 130.8  # Hz


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """A value that drives something.

    Attributes:
        value: Its name, as given to `Attachment.log_values`. What was noted last counts.
        drives: "tempo", from half as fast at ``low`` to twice at ``high``; "brightness", of
            voices that have it; or "voice": it is a further voice, over three octaves.
        low: The value at one end.
        high: The value at the other; beyond, it is held. Of two above 0, equal ratios are
            equal steps. ``low`` may be above ``high``, which turns it round.
        voice: Name of the voice, if it is one.

    Raises:
        ValueError: If it drives nothing of that name, or ``low`` and ``high`` are the same
            or not finite.
    """

    value: str
    drives: str
    low: float
    high: float
    voice: str = "organ"

    def __post_init__(self) -> None:
        if self.drives not in DRIVEN:
            raise ValueError(f"drives must be {', '.join(DRIVEN)}, got {self.drives!r}")
        if not np.isfinite([self.low, self.high]).all() or self.low == self.high:
            raise ValueError(
                f"low and high of {self.value!r} must be two different numbers, got "
                f"{self.low} and {self.high}"
            )

    def places(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where values are between low and high, 0 to 1, shape (S,); NaN stays NaN."""
        if min(self.low, self.high) > 0:
            with np.errstate(divide="ignore", invalid="ignore"):
                share = np.log(np.maximum(values, 0) / self.low) / np.log(
                    self.high / self.low
                )
        else:
            share = (values - self.low) / (self.high - self.low)
        return np.asarray(np.clip(share, 0, 1))

    def lasting(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many times as long steps are, shape (S,); 1 where there is no value."""
        times = _SLOWEST * (_FASTEST / _SLOWEST) ** places
        return np.nan_to_num(times, nan=1.0)

    @property
    def longest(self) -> float:
        """The most that `lasting` returns."""
        return _SLOWEST

    def hertz(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pitches of its voice in Hz, shape (S,)."""
        return np.asarray(_LOWEST * 2 ** (_OCTAVES * np.nan_to_num(places)))
