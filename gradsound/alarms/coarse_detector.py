"""Detection of coarse gradients, of which far more numbers are exactly 0 than usual.

Numbers underflow in a format with few bits, so that a part of the gradients is lost.

Shapes: L layers, W = `COARSE_WINDOW`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.thresholds import (
    COARSE_END,
    COARSE_MIN,
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
        # The last usual shares of zeros, the newest last; NaN where none is known.
        self._usual = np.full((COARSE_WINDOW, layers), np.nan, np.float32)
        # A share above the usual, if it was the last; a second one makes an alarm.
        self._doubtful = np.full(layers, np.nan, np.float32)
        self._coarse = np.zeros(layers, bool)

    def detect(self, shares: NDArray[np.float32], reports: StepReports) -> None:
        """Adds the alarms of steps to their reports.

        Args:
            shares: The share of zeros of each layer, shape (S, L); NaN where unknown.
            reports: The reports of the steps.
        """
        for row in np.flatnonzero(~np.isnan(shares).all(axis=1)).tolist():
            self._judge(shares[row], reports[row])

    def _judge(self, shares: NDArray[np.float32], report: StepReport) -> None:
        """Adds the alarms that begin or end with the zeros of a step."""
        highest = np.fmax.reduce(self._usual)
        count = np.count_nonzero(~np.isnan(self._usual), axis=0)
        above = (shares > highest + COARSE_SHARE) & (count >= COARSE_MIN)
        new = above & ~np.isnan(self._doubtful) & ~self._coarse
        if new.any():
            first = int(np.argmax(np.where(new, shares - highest, -1.0)))
            detail = f", {shares[first]:.0%} zeros, before {highest[first]:.0%} at most"
            report.add("coarse", "coarse gradient in", new, first, detail)
        self._coarse |= new
        ended = self._coarse & (shares < highest + COARSE_END * COARSE_SHARE)
        if ended.any():
            report.add_recovery("coarse", "no longer coarse:", ended)
        self._coarse &= ~ended
        known = ~np.isnan(shares)
        # One share alone may be that of a small batch; then it is usual, too.
        self._learn(self._doubtful, known & ~above & ~self._coarse)
        self._learn(shares, known & ~above & ~self._coarse)
        self._doubtful = np.where(known, np.where(above, shares, np.nan), self._doubtful)

    def _learn(self, shares: NDArray[np.float32], on: NDArray[np.bool_]) -> None:
        """Adds the known shares of some layers to the usual ones."""
        on = on & ~np.isnan(shares)
        self._usual[:-1, on] = self._usual[1:, on]
        self._usual[-1, on] = shares[on]
