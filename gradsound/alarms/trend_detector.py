"""Detection of slow changes in the norm of the whole model: rises, collapses, drifts.

Shapes: S steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, log10
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.median import lower_median
from gradsound.alarms.running_median import RunningMedian, median, robust_deviation
from gradsound.alarms.thresholds import (
    COLLAPSE_RATIO,
    DRIFT_RATIO,
    EARLY_RISE_RATIO,
    FIRST_NORMS,
    LAST_NORMS,
    RISE_END,
    RISE_RATIO,
    TREND_STEPS,
    WARMUP_STEPS,
    WINDOW_STEPS,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.alarms.step_report import StepReports

_RISE, _COLLAPSE, _END = log10(RISE_RATIO), log10(COLLAPSE_RATIO), log10(RISE_END)
_DRIFT, _EARLY_RISE = log10(DRIFT_RATIO), log10(EARLY_RISE_RATIO)


@dataclass(frozen=True, slots=True, eq=False)
class _Medians:
    """Medians of the norm of the model before successive steps, in decades.

    Attributes:
        windows: The sorted window of each step, shape (S, W).
        now: The median before each step, shape (S,).
        earlier: The medians of all steps and of up to `TREND_STEPS` before them.
        count: How many steps the run had before these.
    """

    windows: NDArray[np.float32]
    now: NDArray[np.float64]
    earlier: NDArray[np.float64]
    count: int

    def deviation(self, row: int) -> float:
        """Returns the robust standard deviation of the window of a step; 0 without one."""
        median_now = self.now[row : row + 1].astype(np.float32)
        deviation = robust_deviation(self.windows[row : row + 1], median_now)
        return float(np.nan_to_num(deviation)[0])


class TrendDetector:
    """Finds rises, collapses and drifts in the norm of the whole model."""

    def __init__(self) -> None:
        self._running_median, self._count = RunningMedian(1), 0  # of steps
        self._medians = np.zeros(0)  # decades, of the last `TREND_STEPS` steps
        self._since = 0  # the first step whose median counts
        self._kind, self._before = "", 0.0  # of the alarm that holds; decades before it
        self._hold_until = 0  # the first step at which an alarm may end
        self._highest = -inf  # decades; median norm, up to TREND_STEPS ago
        self._reference, self._drift = inf, _DRIFT  # decades
        self._early: list[float] = []  # decades of the first norms

    def detect(self, totals: NDArray[np.float64], reports: StepReports) -> None:
        """Adds the alarms of steps to their reports.

        Args:
            totals: Norm of the whole model, shape (S,); NaN or infinite ones do not count.
            reports: The reports of the steps.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            decades = np.log10(totals).astype(np.float32)
        windows = np.sort(self._running_median.windows(decades[:, None])[0], axis=-1)
        now = median(windows).astype(np.float64)
        medians = _Medians(windows, now, np.concatenate([self._medians, now]), self._count)
        for row in range(min(len(now), max(0, WINDOW_STEPS - self._count))):
            if not self._kind:
                self._detect_early_rise(medians, float(decades[row]), row, reports)
        row = 0
        while row < len(now):
            find = self._find_end if self._kind else self._find_change
            row = find(medians, row, reports)
        self._detect_drift(medians, reports)
        self._medians, self._count = medians.earlier[-TREND_STEPS:], self._count + len(now)

    def _detect_early_rise(
        self, medians: _Medians, decades: float, row: int, reports: StepReports
    ) -> None:
        if not isfinite(decades):
            return
        self._early.append(decades)
        if len(self._early) < FIRST_NORMS + LAST_NORMS:
            return
        before = lower_median(self._early[:FIRST_NORMS])
        now = lower_median(self._early[-LAST_NORMS:])
        if now - before > _EARLY_RISE:
            self._kind, self._before = "rise", before
            # Until the median has only later norms.
            self._hold_until = medians.count + row + WINDOW_STEPS - 1
            ratio = f"{10 ** (now - before):,.3g} x that of the first steps"
            reports[row].add_whole("rise", f"the norm is {10**now:.3g}, {ratio}")

    def _find_end(self, medians: _Medians, row: int, reports: StepReports) -> int:
        """Looks for the end of the alarm that holds; returns the row after it."""
        row = max(row, self._hold_until - medians.count)
        distances = medians.now[row:] - self._before
        ended = (distances if self._kind == "rise" else -distances) < _END
        if not ended.any():
            return len(medians.now)
        row += int(ended.argmax())
        text = f"the norm is usual again: {10 ** medians.now[row]:.3g}"
        reports[row].add_whole("recovery", text, resolves=self._kind)
        self._kind, self._since = "", medians.count + row  # the return is no change
        return row + 1

    def _find_change(self, medians: _Medians, row: int, reports: StepReports) -> int:
        """Looks for a rise or a collapse from some row on; returns the row after it."""
        row = max(row, self._since + TREND_STEPS - medians.count)
        now = medians.now[row:]
        if not len(now):
            return len(medians.now)
        first = len(medians.earlier) - len(medians.now) + row - TREND_STEPS
        before = medians.earlier[first : first + len(now)]
        counts = medians.count + row + 1 + np.arange(len(now))
        settled = counts > TREND_STEPS + 2 * WINDOW_STEPS
        known = np.where(settled, before, -inf)
        highest = np.fmax.accumulate(np.concatenate([[self._highest], known]))[1:]
        # Where norms scatter by decades, so do their medians. A return to a height that the
        # norm had after its first steps is no rise.
        changes = now - before
        rises = (changes > _RISE) & (now > highest) & (counts > WARMUP_STEPS)
        for k in np.flatnonzero(rises | (changes < -_COLLAPSE)).tolist():
            change = float(changes[k])
            if rises[k] and change > medians.deviation(row + k):
                self._kind = "rise"
                ratio = f"{10**change:,.3g} x that of"
            elif change < -_COLLAPSE:
                self._kind = "vanishing"
                ratio = f"1/{10**-change:,.3g} of that"
            else:
                continue
            self._highest, self._before = float(highest[k]), float(before[k])
            text = f"the norm is {10 ** now[k]:.3g}, {ratio} {TREND_STEPS} steps before"
            reports[row + k].add_whole(self._kind, text)
            return row + k + 1
        self._highest = float(highest[-1])
        return len(medians.now)

    def _detect_drift(self, medians: _Medians, reports: StepReports) -> None:
        begin = WARMUP_STEPS - 1 - medians.count
        if 0 <= begin < len(medians.now):
            self._reference = float(medians.now[begin])
        row = max(0, begin + WINDOW_STEPS + 1)
        distances = np.abs(medians.now[row:] - self._reference)
        for k in np.flatnonzero(distances > self._drift).tolist():
            if distances[k] > self._drift:
                self._drift = float(distances[k]) + 1.0
                now = 10 ** medians.now[row + k]
                text = f"the norm has drifted from {10**self._reference:.3g} to {now:.3g}"
                reports[row + k].add_whole("drift", text)
