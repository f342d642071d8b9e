"""Detection of leaps: weights that change far more than rate and gradient explain.

Shapes: M steps with update ratios, L layers.
"""

from __future__ import annotations

from math import log10
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.running_median import RunningMedian
from gradsound.alarms.thresholds import (
    RECORD_UPDATE,
    UNRATED_LEAP,
    UPDATE_LEAP,
    UPDATE_LEAP_END,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.alarms.step_report import StepReports
    from gradsound.alarms.update_ratios import MeasuredUpdates

_RATED, _UNRATED = log10(UPDATE_LEAP), log10(UNRATED_LEAP)
_RECORD = log10(RECORD_UPDATE)


class LeapDetector:
    """Finds layers whose weights change far more than usual.

    Args:
        layers: Number of layers, L.
    """

    def __init__(self, layers: int) -> None:
        self._by_rate = RunningMedian(layers)  # of ratios by the learning rate
        self._leaping = np.zeros(layers, bool)
        self._highest = np.full((1, layers), -np.inf, np.float32)  # ratio in decades

    def detect(self, updates: MeasuredUpdates, reports: StepReports) -> None:
        """Adds the alarms of steps to their reports.

        Args:
            updates: The update ratios of the steps.
            reports: The reports of the steps.
        """
        # A warm-up or a restart of a schedule that is not known changes the updates, too. A
        # restart goes back to ratios that the run had.
        unrated = np.isnan(updates.rates)
        limits = np.where(unrated, _UNRATED, _RATED)
        highest = np.fmax.accumulate(np.concatenate([self._highest, updates.decades]))
        self._highest = highest[-1:]
        possible = (updates.decades > highest[:-1] + _RECORD) | ~unrated[:, None]
        excesses = self._find_excess(updates)
        for k, row in enumerate(updates.rows.tolist()):
            excess, limit = excesses[k], limits[k]
            leaps = (excess > limit) & possible[k]
            if leaps.any() and not self._leaping.any():
                first = int(np.nanargmax(excess))
                detail = f", {10 ** excess[first]:.3g} x as far as usual"
                reports[row].add("leap", "weights leap in", leaps, first, detail)
            self._leaping = leaps | (self._leaping & (excess > UPDATE_LEAP_END * limit))

    def _find_excess(self, updates: MeasuredUpdates) -> NDArray[np.float32]:
        """Returns how far ratios are above the usual, in decades, shape (M, L).

        A gradient that is larger than usual explains as large an update, also of the next
        steps, where there is a momentum.
        """
        rates = updates.rates[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):  # a rate may be 0
            by_rate = (updates.decades - np.log10(rates)).astype(np.float32)
            by_rate[np.isinf(by_rate)] = np.nan
            rated = by_rate - self._by_rate.medians(by_rate)
            excess = np.where(np.isnan(rates), updates.decades - updates.usual, rated)
        return np.asarray(excess - np.fmax(updates.high, 0), np.float32)
