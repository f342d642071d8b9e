"""The states of tracks: pitch, level and manner of each track's note at each moment.

Shapes: S moments, B tracks (bands, then values with a voice).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrackStates:
    """What each track plays at each moment; arrays have the shape (S, B), but for two.

    Attributes:
        present: Whether the track has a norm or a value.
        nonfinite: Whether its norm is NaN or infinite.
        zero: Whether its norm is exactly 0, which has no pitch.
        hertz: Pitch in Hz.
        level: Linear peak.
        unclipped_hertz: Pitch of the norm before clipping; NaN where clipping was idle.
        controls: The inputs "norm" and "deviation" of the voices, by name.
        lengths: How many times as long as usual the note is held.
        breath_level: Linear peak of the breath in a note with a pitch; 0 if it is pure.
        breath_hertz: Pitch of the track's breath in Hz, shape (B,).
        anchor_norms: The norm at the anchor of the pitch at each moment, shape (S,).
    """

    present: NDArray[np.bool_]
    nonfinite: NDArray[np.bool_]
    zero: NDArray[np.bool_]
    hertz: NDArray[np.float64]
    level: NDArray[np.float64]
    unclipped_hertz: NDArray[np.float64]
    controls: dict[str, NDArray[np.float64]]
    lengths: NDArray[np.float64]
    breath_level: NDArray[np.float64]
    breath_hertz: NDArray[np.float64]
    anchor_norms: NDArray[np.float64]

    def with_value(
        self, positions: NDArray[np.float64], hertz: NDArray[np.float64], level: float
    ) -> TrackStates:
        """Returns the states with one more track, of a value.

        Args:
            positions: Where the value is in its range, 0 to 1, shape (S,); NaN if unknown.
            hertz: Its pitches in Hz, shape (S,).
            level: Its linear peak.
        """

        def add(states: NDArray[Any], new: NDArray[Any] | float) -> NDArray[Any]:
            column = np.broadcast_to(np.asarray(new, states.dtype), positions.shape)
            return np.hstack([states, column[:, None]])

        new = {"norm": np.nan_to_num(positions), "deviation": np.zeros(positions.shape)}
        return TrackStates(
            present=add(self.present, ~np.isnan(positions)),
            nonfinite=add(self.nonfinite, False),
            zero=add(self.zero, False),
            hertz=add(self.hertz, hertz),
            level=add(self.level, level),
            unclipped_hertz=add(self.unclipped_hertz, np.nan),
            controls={name: add(self.controls[name], new[name]) for name in new},
            lengths=add(self.lengths, 1.0),
            breath_level=add(self.breath_level, 0.0),
            breath_hertz=self.breath_hertz,
            anchor_norms=self.anchor_norms,
        )
