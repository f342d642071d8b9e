"""How much the numbers of ranks scatter, and the limits that follow from it.

Shapes: S steps, R ranks.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.rank_centers import median_known
from gradsound.alarms.thresholds import (
    MAD_TO_STD,
    RANK_OUTLIER,
    RANK_OUTLIERS,
    RANK_SHARE,
    RANK_SPREADS,
    RANK_STEPS,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RankScatter:
    """The robust standard deviation and the outliers of all ranks in some steps.

    Nothing is far before the first call of `learn`.

    Args:
        ranks: Number of ranks, R.
        own_levels: Whether each rank may have a level of its own, around which it scatters.
    """

    def __init__(self, ranks: int, *, own_levels: bool) -> None:
        self._own_levels = own_levels
        self._spread, self._outlier = inf, 0.0
        # Of an odd number of ranks, one is the median, and so at a distance of 0.
        self._middle = 0.5 + (ranks % 2) / (2 * ranks)

    def learn(
        self, numbers: NDArray[np.float64], alike: NDArray[np.bool_], *, early: bool
    ) -> None:
        """Estimates the scatter anew.

        Args:
            numbers: How far each rank is from the others, shape (S, R); NaN if unknown.
            alike: Which ranks to look at, shape (R,).
            early: Whether the steps are too few to know outliers.
        """
        levels = median_known(numbers.T, RANK_STEPS) if self._own_levels else 0.0
        distances = np.abs(numbers - levels)[:, alike]
        distances = np.sort(distances[np.isfinite(distances)])
        if len(distances):
            last = len(distances) - 1
            self._spread = MAD_TO_STD * float(distances[int(self._middle * last)])
            self._outlier = 0.0 if early else float(distances[int(RANK_SHARE * last)])

    def limits(self, floors: tuple[float, float, float]) -> tuple[float, float, float]:
        """Returns the limits of one step, of 5 and of 32, not below the floors."""
        once, short, long = (
            max(floor, spreads * self._spread)
            for floor, spreads in zip(floors, RANK_SPREADS)
        )
        short = max(short, RANK_OUTLIERS * self._outlier)
        return max(once, self._outlier + RANK_OUTLIER), short, long
