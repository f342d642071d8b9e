"""Detection of slow changes in the norm of the whole model: rises, collapses, drifts.

Shapes: S steps.
"""

from __future__ import annotations

from collections import deque
from math import inf, isfinite, log10
from statistics import median_low
from typing import TYPE_CHECKING

import numpy as np

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
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.alarms.step_report import StepReport

_RISE, _COLLAPSE, _END = log10(RISE_RATIO), log10(COLLAPSE_RATIO), log10(RISE_END)
_DRIFT, _EARLY_RISE = log10(DRIFT_RATIO), log10(EARLY_RISE_RATIO)


class TrendDetector:
    """Finds rises, collapses and drifts in the norm of the whole model."""

    def __init__(self) -> None:
        self._running_median, self._step_count = RunningMedian(1), 0
        self._medians: deque[float] = deque(maxlen=TREND_STEPS)  # decades, of last steps
        self._kind, self._before = "", 0.0  # of the alarm that holds; decades before it
        self._highest = -inf  # decades; median norm, up to TREND_STEPS ago
        self._reference, self._drift = inf, _DRIFT  # decades
        self._hold_steps = 0  # in which an alarm does not end
        self._early: list[float] = []  # decades of the first norms

    def detect(self, totals: NDArray[np.float64], reports: Sequence[StepReport]) -> None:
        """Adds the alarms of steps to their reports.

        Args:
            totals: Norm of the whole model, shape (S,); NaN or infinite ones do not count.
            reports: The report of each step.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            decades = np.log10(totals).astype(np.float32)[:, None]
        windows = self._running_median.windows(decades)
        medians = median(windows)
        deviations = np.nan_to_num(robust_deviation(windows, medians))[:, 0].tolist()
        for k, now in enumerate(medians[:, 0].tolist()):
            self._step_count += 1
            if self._step_count <= WINDOW_STEPS and not self._kind:
                self._detect_early_rise(float(decades[k, 0]), reports[k])
            self._detect_change(now, deviations[k], reports[k])
            self._detect_drift(now, reports[k])
            self._medians.append(now)

    def _detect_early_rise(self, decades: float, report: StepReport) -> None:
        if not isfinite(decades):
            return
        self._early.append(decades)
        if len(self._early) < FIRST_NORMS + LAST_NORMS:
            return
        before = median_low(self._early[:FIRST_NORMS])
        now = median_low(self._early[-LAST_NORMS:])
        if now - before > _EARLY_RISE:
            self._kind, self._before = "rise", before
            self._hold_steps = WINDOW_STEPS  # until the median has only later norms
            ratio = f"{10 ** (now - before):,.3g} x that of the first steps"
            report.add_whole("rise", f"the norm is {10**now:.3g}, {ratio}")

    def _detect_change(self, now: float, deviation: float, report: StepReport) -> None:
        self._hold_steps -= 1
        if self._kind and self._hold_steps > 0:
            return
        if self._kind:
            distance = now - self._before
            if (distance if self._kind == "rise" else -distance) < _END:
                text = f"the norm is usual again: {10**now:.3g}"
                report.add_whole("recovery", text, resolves=self._kind)
                self._kind = ""
                self._medians.clear()  # a return to the usual is no change
            return
        if len(self._medians) < TREND_STEPS:
            return
        before = self._medians[0]
        change = now - before
        if self._step_count > TREND_STEPS + 2 * WINDOW_STEPS:
            self._highest = max(self._highest, before)
        # Where norms scatter by decades, so do their medians. A return to a height that the
        # norm had after its first steps is no rise.
        is_rise = change > max(_RISE, deviation) and now > self._highest
        if is_rise and self._step_count > WARMUP_STEPS:
            self._kind = "rise"
            ratio = f"{10**change:,.3g} x that of"
        elif change < -_COLLAPSE:
            self._kind = "vanishing"
            ratio = f"1/{10**-change:,.3g} of that"
        else:
            return
        self._before = now - change
        text = f"the norm is {10**now:.3g}, {ratio} {TREND_STEPS} steps before"
        report.add_whole(self._kind, text)

    def _detect_drift(self, now: float, report: StepReport) -> None:
        if self._step_count == WARMUP_STEPS:
            self._reference = now
        distance = abs(now - self._reference)
        if self._step_count > WARMUP_STEPS + WINDOW_STEPS and distance > self._drift:
            self._drift = distance + 1.0
            text = f"the norm has drifted from {10**self._reference:.3g} to {10**now:.3g}"
            report.add_whole("drift", text)
