"""Clocks of ranks, which begin at other times, and how late each rank is by them.

Shapes: S steps, R ranks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.rank_centers import center, median_known, spread_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEPS = 32  # whose median is the usual difference of the clocks
_RECENT_STEPS = 8  # before now; a rank may have become late in them


class RankClocks:
    """The usual differences between the clocks of ranks.

    Args:
        ranks: Number of ranks, R.
    """

    def __init__(self, ranks: int) -> None:
        self._usual = np.full(ranks, np.nan)  # seconds, of each clock before the others
        self._known = np.full((_STEPS + _RECENT_STEPS, ranks), np.nan)
        self._late = np.zeros(ranks, bool)  # the clocks that are no measure for others
        self._count = 0

    def find_delays(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns by how many seconds each rank is later than usual, shape (S, R).

        It is NaN where a rank has no step, and in the first steps, which differ by chance.

        Args:
            times: Seconds by the clock of each rank, shape (S, R), NaN for no step.
        """
        begins = np.isnan(self._usual) & ~np.isnan(times)
        for row in times[begins.any(axis=1)]:
            self._begin(row)
        delays = times - self._usual
        prompt = np.where(self._late, np.nan, delays)
        delays -= center(prompt)
        known = np.concatenate([self._known, delays + self._usual])
        self._known = known[-_STEPS - _RECENT_STEPS :]
        begin, self._count = self._count, self._count + len(times)
        early = np.arange(begin, self._count) < _STEPS // 2
        if not self._late.any():
            delays = spread_pairs(delays)
        return np.where(early[:, None], np.nan, delays)

    def update(self, late: NDArray[np.bool_]) -> None:
        """Learns the usual differences anew, except those of ranks that are late."""
        self._late = late.copy()
        usual = median_known(self._known[:-_RECENT_STEPS].T)
        self._usual = np.where(late | np.isnan(usual), self._usual, usual)

    def _begin(self, times: NDArray[np.float64]) -> None:
        """Takes the differences of one step for the usual ones of ranks without any."""
        known = times - self._usual
        now = center(known[None])[0, 0]
        if np.isnan(now):
            now = 0.0
        self._usual = np.where(np.isnan(self._usual), times - now, self._usual)
