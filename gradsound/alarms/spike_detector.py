"""Detection of spikes: norms far above the running median of their layer.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from bisect import bisect_left
from math import inf, log10
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.norm_peaks import PeakMemory, StepPeaks, find_peaks
from gradsound.alarms.running_median import RunningMedian
from gradsound.alarms.thresholds import (
    CALM_STEPS,
    EARLY_MIN,
    EARLY_RATIO,
    EARLY_STEPS,
    HARD_PEAK_RATIO,
    LONG_SPIKE_STEPS,
    OFTEN_RATIO,
    OFTEN_SPIKES,
    PEAK_RATIO,
    PEAK_STEPS,
    RECORD_RATIO,
    SPIKE_END,
    TREND_STEPS,
    WINDOW_STEPS,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.alarms.loss_detector import LossLevels
    from gradsound.alarms.step_report import StepReport, StepReports
    from gradsound.alarms.thresholds import Thresholds

_PEAK, _HARD_PEAK = log10(PEAK_RATIO), log10(HARD_PEAK_RATIO)
_RECORD = log10(RECORD_RATIO)
_OFTEN, _EARLY = log10(OFTEN_RATIO), log10(EARLY_RATIO)


class SpikeDetector:
    """Finds the spikes of successive steps.

    Args:
        layers: Number of layers, L.
        thresholds: Limits of the alarms.
    """

    def __init__(self, layers: int, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._ratio = log10(thresholds.spike_ratio)
        self._running_median, self.step_count = RunningMedian(layers), 0
        self._early = np.zeros((0, layers), np.float32)  # decades of the first steps
        self._peaks: dict[int, PeakMemory] = {}
        # Successive steps with a peak of many deviations, and the count of the last one.
        self._rare_steps, self._last_rare = 0, -1
        self._spiking, self._is_spiking = np.zeros(layers, bool), False  # any of them
        self._begin, self._begin_step = 0, 0
        self._medians = np.zeros(layers, np.float32)  # decades, before the spikes
        self._often = False

    def detect(
        self,
        decades: NDArray[np.float32],
        largest: NDArray[np.float32],
        losses: LossLevels,
        reports: StepReports,
    ) -> None:
        """Adds the spikes of steps to their reports.

        Args:
            decades: log10 of the norms, shape (S, L); NaN where there is no norm.
            largest: The largest norm of each step, shape (S,).
            losses: Where the losses of the steps are, of length S.
            reports: The reports of the steps.
        """
        windows = self._running_median.windows(decades)
        count, steps = self.step_count, len(decades)
        k = min(steps, max(0, WINDOW_STEPS - count))
        for row in range(k):
            self.step_count += 1
            spikes, above = self._find_early(decades[row])
            self._report(spikes, decades[row], above, reports[row])
        found = find_peaks(decades, largest, windows, k, self._thresholds)
        peaks = {peak.row: peak for peak in found}
        rows = [*peaks, steps]
        while k < steps:
            if not self._is_spiking:
                k = rows[bisect_left(rows, k)]  # nearly all steps have no peak
            if k < steps:
                self.step_count = count + k + 1
                self._detect_peaks(peaks.get(k), decades[k], losses, reports[k])
            k += 1
        self.step_count = count + steps

    def _detect_peaks(
        self,
        peaks: StepPeaks | None,
        decades: NDArray[np.float32],
        losses: LossLevels,
        report: StepReport,
    ) -> None:
        """Adds the spikes of a step that has peaks, or follows a spike."""
        spiking = [] if peaks is None else self._find(peaks, decades, losses)
        if any(spiking) or self._is_spiking:
            spikes, above = np.zeros(len(decades), bool), np.full(len(decades), -inf)
            if peaks is not None:
                spikes[peaks.layers], above[peaks.layers] = spiking, peaks.above
            self._report(spikes, decades, above, report)
        if peaks is not None:
            self._report_often(peaks, report)

    def _find_early(
        self, decades: NDArray[np.float32]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Returns which layers have a peak in the first steps, and the distances above."""
        known = self._early
        self._early = np.concatenate([known, decades[None]])[-EARLY_STEPS:]
        if len(known) < EARLY_MIN:
            return np.zeros(len(decades), bool), np.zeros_like(decades)
        finite = np.where(np.isfinite(known), known, -inf)
        middle = np.sort(finite, axis=0)[(len(known) - 1) // 2]
        with np.errstate(invalid="ignore"):  # norms may be 0
            above = decades - middle
        is_record = decades > finite.max(axis=0) + _RECORD
        return (above > _EARLY) & is_record & np.isfinite(middle), above

    def _find(
        self, peaks: StepPeaks, decades: NDArray[np.float32], losses: LossLevels
    ) -> list[bool]:
        """Returns which of the layers with a peak have a spike."""
        follows = self._last_rare == self.step_count - 1
        rare_steps = 0
        if any(peaks.rare):
            rare_steps = self._rare_steps + 1 if follows else 1
            self._rare_steps, self._last_rare = rare_steps, self.step_count
        spikes, row = list[bool](), peaks.row
        for layer, height, rare in zip(peaks.layers, peaks.above, peaks.rare):
            memory = self._peaks.setdefault(layer, PeakMemory())
            norm = float(decades[layer])
            memory.add(self.step_count, height, norm)
            lasted = max(memory.steps, rare_steps)  # layers may spike in turn
            is_long = lasted >= (CALM_STEPS if losses.usual[row] else PEAK_STEPS)
            is_new = rare and (losses.worse[row] or not memory.is_usual(height, norm))
            is_high = height > (_HARD_PEAK if losses.high[row] else _PEAK)
            spikes.append(bool(is_new and (is_long or is_high)))
        return spikes

    def _report(
        self,
        spikes: NDArray[np.bool_],
        decades: NDArray[np.float32],
        above: NDArray[np.float32],
        report: StepReport,
    ) -> None:
        if spikes.any() and not self._is_spiking:
            self._begin, self._begin_step = self.step_count, report.step
            first = int(np.argmax(np.where(spikes, above, -inf)))
            ratio = f", {10 ** above[first]:.3g} x its median"
            report.add("spike", "spike in", spikes, first, ratio)
        new = spikes & ~self._spiking
        self._medians[new] = decades[new] - above[new]
        # The running median follows a spike, so the one from before decides about its end.
        is_high = decades - self._medians > SPIKE_END * self._ratio
        spiking = spikes | (self._spiking & is_high)
        lasted = self.step_count - self._begin
        if self._is_spiking and not spiking.any() and lasted > LONG_SPIKE_STEPS:
            text = f"after {report.step - self._begin_step:,} steps usual again:"
            report.add_recovery("spike", text, self._spiking)
        self._spiking = spiking & (lasted < TREND_STEPS)  # then the height is usual
        self._is_spiking = bool(self._spiking.any())

    def _report_often(self, peaks: StepPeaks, report: StepReport) -> None:
        if self._often:
            return
        for layer in peaks.layers:
            memory = self._peaks[layer]
            heights = [height for _, height, _ in memory.earlier if height > _OFTEN]
            if len(heights) >= OFTEN_SPIKES:
                self._often = True
                layers = np.arange(len(self._spiking)) == layer
                ratio = f", up to {10 ** max(heights):.3g} x its median"
                report.add("often", "spikes now and then in", layers, layer, ratio)
                return
