"""Detection of layers that the optimizer does not move, although they have gradients.

Shapes: L layers.
"""

from __future__ import annotations

from math import log10, nan
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.thresholds import (
    PLATEAU_RATE,
    STILL_FIRST_STEPS,
    STILL_RATIO,
    STILL_SHARE,
    STILL_STEPS,
    STILL_SUDDEN,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.alarms.step_report import StepReport, StepReports
    from gradsound.alarms.update_ratios import MeasuredUpdates

_LEAST, _SHARE, _SUDDEN = log10(STILL_RATIO), log10(STILL_SHARE), log10(STILL_SUDDEN)
_SMALL_NORM = -2.0  # decades below its median; then it is no wonder that a layer is still


class StillDetector:
    """Finds layers whose weights do not change.

    Args:
        layers: Number of layers, L.
    """

    def __init__(self, layers: int) -> None:
        self._usual = np.full(layers, nan, np.float32)  # decades, while a layer moves
        self._has_moved, self._still = np.zeros((2, layers), bool)
        self._begins = np.full(layers, -1)  # step counts since when layers are still
        # Whether a layer stopped for lack of a gradient, or as its schedule ended.
        self._explained = np.zeros(layers, bool)
        self._rate = self._highest_rate = 0.0  # the last rate above 0, and the highest

    def detect(self, updates: MeasuredUpdates, reports: StepReports) -> None:
        """Adds the alarms of steps to their reports.

        Args:
            updates: The update ratios of the steps.
            reports: The reports of the steps.
        """
        for k, row in enumerate(updates.rows.tolist()):
            decades, rate = updates.decades[k], float(updates.rates[k])
            known = np.isfinite(updates.usual[k])
            self._usual = np.where(known, updates.usual[k], self._usual)
            limits = np.fmax(_LEAST, self._usual + _SHARE)
            moves = decades >= limits
            if not moves.all() or not self._has_moved.all() or self._still.any():
                stopped, has_norm = decades < limits, updates.norms[k] > _SMALL_NORM
                self._explained |= stopped & ~has_norm & self._has_moved
                self._begins[stopped & ~has_norm] = -1
                # Weights that are all 0 have no ratio, nor do those of no optimizer. Later,
                # another optimizer may have them.
                still = (stopped | (np.isnan(decades) & ~self._has_moved)) & has_norm
                count = int(updates.counts[k])
                self._follow(still, count, updates.windows[:, k])
                self._report(moves, count, rate, reports[row])
            if rate > 0:
                self._rate, self._highest_rate = rate, max(rate, self._highest_rate)

    def _follow(
        self,
        still: NDArray[np.bool_],
        count: int,
        window: NDArray[np.float32],
    ) -> None:
        """Keeps since when layers are still, and whether a schedule explains it."""
        begun = still & (self._begins < 0)
        self._begins[begun] = count
        if self._highest_rate:
            ends = np.array(self._rate < PLATEAU_RATE * self._highest_rate)
        else:  # a rate that falls to 0 along a schedule, the updates follow
            ends = _newest(window) < self._usual + _SUDDEN
        self._explained |= begun & ends

    def _report(
        self, moves: NDArray[np.bool_], count: int, rate: float, report: StepReport
    ) -> None:
        """Adds layers that are still for long, and those that move again."""
        patience = np.where(self._has_moved, STILL_STEPS, STILL_FIRST_STEPS)
        is_long = (self._begins >= 0) & (count - self._begins >= patience)
        new = is_long & ~(self._still | self._explained)
        if new.any():
            first = int(np.argmax(new))
            again = " no longer" if self._has_moved[first] else " does not"
            verb = "moves" if self._has_moved[first] else "move"
            detail = f", learning rate {rate:g}" if rate >= 0 else ""
            report.add("still", f"the optimizer{again} {verb}", new, first, detail)
        self._still |= new
        if (moved := self._still & moves).any():
            report.add_recovery("still", "the optimizer moves again:", moved)
        self._has_moved |= moves
        self._still &= ~moves
        self._explained &= ~moves
        self._begins[moves] = -1


def _newest(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the last finite number of each row, shape (L,); infinite without any."""
    last = np.isfinite(window)[:, ::-1].argmax(axis=1)
    newest = window.shape[1] - 1 - last
    return np.asarray(window[np.arange(len(window)), newest])
