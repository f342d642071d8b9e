"""Detection of coarse gradients, of which far more numbers are exactly 0 than usual.

Numbers underflow in a format with few bits, so that a part of the gradients is lost.

Shapes: L layers, W = `COARSE_WINDOW`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.running_median import median
from gradsound.alarms.thresholds import (
    COARSE_END,
    COARSE_MIN,
    COARSE_NORM,
    COARSE_SHARE,
    COARSE_WINDOW,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.alarms.step_report import StepReport, StepReports


class CoarseDetector:
    """Finds layers whose gradients lose their small numbers.

    Args:
        layers: Number of layers, L.
    """

    def __init__(self, layers: int) -> None:
        # The last usual shares of zeros, with the norms, the newest last; infinite where
        # none is known.
        self._usual = np.full((COARSE_WINDOW, 2, layers), np.inf, np.float32)
        # A share above the usual, if it was the last; a second one makes an alarm.
        self._doubtful = np.full((2, layers), np.nan, np.float32)
        self._coarse = np.zeros(layers, bool)

    def detect(
        self, shares: NDArray[np.float32], norms: NDArray[np.float64], reports: StepReports
    ) -> None:
        """Adds the alarms of steps to their reports.

        Args:
            shares: The share of zeros of each layer, shape (S, L); NaN where unknown.
            norms: The norms of the gradients, shape (S, L); NaN where there is none.
            reports: The reports of the steps.
        """
        for row in np.flatnonzero(~np.isnan(shares).all(axis=1)).tolist():
            self._judge(shares[row], norms[row].astype(np.float32), reports[row])

    def _judge(
        self, shares: NDArray[np.float32], norms: NDArray[np.float32], report: StepReport
    ) -> None:
        """Adds the alarms that begin or end with the zeros of a step."""
        known = np.isfinite(self._usual[:, 0])
        highest = np.max(self._usual[:, 0], axis=0, where=known, initial=0.0)
        count = np.count_nonzero(known, axis=0)
        usual_norms = median(np.sort(self._usual[:, 1].T, axis=-1))
        # A gradient that is far smaller than usual underflows in any format, as that of
        # samples that are learned.
        is_small = norms < COARSE_NORM * usual_norms
        above = (shares > highest + COARSE_SHARE) & (count >= COARSE_MIN) & ~is_small
        doubtful, _ = self._doubtful
        new = above & ~np.isnan(doubtful) & ~self._coarse
        if new.any():
            first = int(np.argmax(np.where(new, shares - highest, -1.0)))
            detail = f", {shares[first]:.0%} zeros, before {highest[first]:.0%} at most"
            report.add("coarse", "coarse gradient in", new, first, detail)
        self._coarse |= new
        ended = self._coarse & (shares < highest + COARSE_END * COARSE_SHARE)
        if ended.any():
            report.add_recovery("coarse", "no longer coarse:", ended)
        self._coarse &= ~ended
        counts = ~np.isnan(shares) & np.isfinite(norms) & ~is_small
        usual, both = counts & ~above & ~self._coarse, np.array([shares, norms])
        # One share alone may be that of a small batch; then it is usual, too.
        self._learn(self._doubtful, usual & ~np.isnan(doubtful))
        self._learn(both, usual)
        self._doubtful = np.where(counts, np.where(above, both, np.nan), self._doubtful)

    def _learn(self, both: NDArray[np.float32], on: NDArray[np.bool_]) -> None:
        """Adds the shares and the norms of some layers to the usual ones."""
        self._usual[:-1, :, on] = self._usual[1:, :, on]
        self._usual[-1, :, on] = both[:, on].T
