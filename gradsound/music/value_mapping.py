"""Mapping of logged values (loss, learning rate, ...) to tempo, brightness or a voice.

Shapes: S steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRIVEN = ("tempo", "brightness", "voice")
_SLOWEST, _FASTEST = 2.0, 0.5  # times the duration of a step, at low and at high
_LOWEST, _OCTAVES = 130.8, 3.0  # Hz at low (C3), and octaves from there to high


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """The mapping of one logged value to one property of the sound.

    At a step without the value, the last logged one counts.

    Attributes:
        value: Name of the value, as in `Attachment.log_values`.
        drives: "tempo", from half the speed at ``low`` to twice at ``high``; "brightness",
            of the voices that have one; or "voice", a track of its own over three octaves.
        low: The value at one end of the range.
        high: The value at the other end. Values outside the range are clipped. If both ends
            are above 0, the mapping is logarithmic. ``low`` above ``high`` inverts it.
        voice: Name of the voice of the track, if ``drives`` is "voice".

    Raises:
        ValueError: If ``drives`` is none of the three, or ``low`` and ``high`` are equal or
            not finite.

    Example:
        >>> from dataclasses import replace
        >>> import gradsound
        >>> import numpy as np
        >>> loss = gradsound.Drive(value="loss", drives="tempo", low=0.1, high=10.0)
        >>> loss.positions(np.array([0.1, 1.0, 10.0, 1e3])).tolist()
        [0.0, 0.5, 1.0, 1.0]
        >>> preset = replace(gradsound.PRESETS["notes"], drives=(loss,))
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

    def positions(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the positions of values between low (0) and high (1).

        Args:
            values: Shape (S,).

        Returns:
            0 to 1, shape (S,); NaN where the value is NaN.
        """
        if min(self.low, self.high) > 0:
            with np.errstate(divide="ignore", invalid="ignore"):
                positions = np.log(np.maximum(values, 0) / self.low) / np.log(
                    self.high / self.low
                )
        else:
            positions = (values - self.low) / (self.high - self.low)
        return np.asarray(np.clip(positions, 0, 1))

    def duration_factors(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns how many times as long steps are, shape (S,); 1 where there is no value.

        Args:
            positions: As returned by `positions`.
        """
        factors = _SLOWEST * (_FASTEST / _SLOWEST) ** positions
        return np.nan_to_num(factors, nan=1.0)

    @property
    def duration_factor_max(self) -> float:
        """The largest factor that `duration_factors` returns."""
        return _SLOWEST

    def hertz(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the pitches of the value's voice in Hz, shape (S,); NaN counts as low.

        Args:
            positions: As returned by `positions`.
        """
        return np.asarray(_LOWEST * 2 ** (_OCTAVES * np.nan_to_num(positions)))
