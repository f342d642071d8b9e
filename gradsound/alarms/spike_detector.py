"""Detection of spikes: norms far above the running median of their layer.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf, log10
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.running_median import (
    RunningMedian,
    median,
    robust_deviation,
    split_steps,
)
from gradsound.alarms.thresholds import (
    CALM_STEPS,
    DEVIATION_MIN,
    EARLY_MIN,
    EARLY_RATIO,
    EARLY_STEPS,
    FEW_SPIKES,
    LEAP_RATIO,
    LEAP_STEPS,
    LONG_SPIKE_STEPS,
    MEMORY_STEPS,
    OFTEN_RATIO,
    OFTEN_SPIKES,
    RECORD_RATIO,
    SPIKE_END,
    SPIKE_SHARE,
    TREND_STEPS,
    WINDOW_STEPS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.alarms.step_report import StepReport
    from gradsound.alarms.thresholds import Thresholds

_LEAP, _RECORD = log10(LEAP_RATIO), log10(RECORD_RATIO)
_OFTEN, _EARLY = log10(OFTEN_RATIO), log10(EARLY_RATIO)
_SHARE = log10(SPIKE_SHARE)


@dataclass(slots=True)
class _Leaps:
    """The leaps of one layer: successive norms above the ratio of a spike.

    Attributes:
        last: Step count of the last norm of a leap.
        steps: How many steps the current leap lasts.
        height: Its highest norm, in decades above the median.
        norm: Its highest norm, in decades.
        earlier: Step count, height and norm of the leaps before it, of the last
            `MEMORY_STEPS`.
    """

    last: int = -1
    steps: int = 0
    height: float = -inf
    norm: float = -inf
    earlier: deque[tuple[int, float, float]] = field(default_factory=deque)

    def add(self, step_count: int, height: float, norm: float) -> None:
        """Adds a norm that is far above the median."""
        if step_count - self.last > 1:
            if self.steps:
                self.earlier.append((self.last, self.height, self.norm))
            self.steps, self.height, self.norm = 0, -inf, -inf
        while self.earlier and self.earlier[0][0] < step_count - MEMORY_STEPS:
            self.earlier.popleft()
        self.last, self.steps = step_count, self.steps + 1
        self.height, self.norm = max(self.height, height), max(self.norm, norm)

    def is_usual(self, height: float, norm: float) -> bool:
        """Returns whether several earlier leaps were about as high."""
        if len(self.earlier) < FEW_SPIKES:
            return False
        _, heights, norms = zip(*self.earlier)
        is_record = height > max(heights) + _RECORD and norm > max(norms) + _RECORD
        return not is_record


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
        self._leaps: dict[int, _Leaps] = {}
        self._rare_steps = 0  # successive steps with a leap of many deviations
        self._spiking, self._begin, self._begin_step = np.zeros(layers, bool), 0, 0
        self._medians = np.zeros(layers, np.float32)  # decades, before the spikes
        self._often = False

    def detect(
        self,
        decades: NDArray[np.float32],
        largest: NDArray[np.float32],
        losses: Sequence[str],
        reports: Sequence[StepReport],
    ) -> None:
        """Adds the spikes of steps to their reports.

        Args:
            decades: log10 of the norms, shape (S, L); NaN where there is no norm.
            largest: The largest norm of each step, shape (S,).
            losses: "worse" if the loss of a step is clearly above the usual, "usual" if it
                is not, else "".
            reports: The report of each step.
        """
        above, deviations = self._distances(decades)
        with np.errstate(divide="ignore", invalid="ignore"):  # all norms may be 0
            share = decades - np.log10(largest)[:, None]
        # A spike of a layer with a tiny norm does not change the update.
        leaps = (above > self._ratio) & (share > _SHARE)
        for k, report in enumerate(reports):
            self.step_count += 1
            if self.step_count <= WINDOW_STEPS:
                spikes, early = self._find_early(decades[k])
                self._report(spikes, decades[k], early, report)
            elif leaps[k].any() or self._spiking.any():
                spikes = self._find(
                    leaps[k], decades[k], above[k], deviations[k], losses[k]
                )
                self._report(spikes, decades[k], above[k], report)
                self._report_often(leaps[k], report)
            else:
                self._rare_steps = 0

    def _distances(
        self, decades: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns distances above the medians and, for leaps, the deviations, (S, L)."""
        distances, deviations = [], []
        for chunk in split_steps(decades):
            windows = self._running_median.windows(chunk)
            medians = median(windows)
            above = chunk - medians
            deviation = np.full(chunk.shape, np.float32(inf))
            rows = (above > self._ratio).any(axis=1)
            if rows.any():
                # Among many layers, one often has 32 norms that are close together by
                # chance. Its next norm would be a false spike, so the deviation is at least
                # the median of all layers.
                own = np.nan_to_num(robust_deviation(windows[rows], medians[rows]))
                usual = np.maximum(own, np.median(own, axis=1, keepdims=True))
                deviation[rows] = np.maximum(usual, DEVIATION_MIN)
            distances.append(above)
            deviations.append(deviation)
        return np.concatenate(distances), np.concatenate(deviations)

    def _find_early(
        self, decades: NDArray[np.float32]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Returns which layers leap among the first steps, and the distances above."""
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
        self,
        leaps: NDArray[np.bool_],
        decades: NDArray[np.float32],
        above: NDArray[np.float32],
        deviation: NDArray[np.float32],
        loss: str,
    ) -> NDArray[np.bool_]:
        """Returns which layers have a spike."""
        rare = leaps & (above > self._thresholds.spike * deviation)
        self._rare_steps = self._rare_steps + 1 if rare.any() else 0
        spikes = np.zeros(len(leaps), bool)
        for layer in np.flatnonzero(leaps).tolist():
            memory = self._leaps.setdefault(layer, _Leaps())
            height, norm = float(above[layer]), float(decades[layer])
            memory.add(self.step_count, height, norm)
            lasted = max(memory.steps, self._rare_steps)  # layers may spike in turn
            is_long = lasted >= (CALM_STEPS if loss == "usual" else LEAP_STEPS)
            is_new = loss == "worse" or not memory.is_usual(height, norm)
            spikes[layer] = rare[layer] and is_new and (is_long or height > _LEAP)
        return spikes

    def _report(
        self,
        spikes: NDArray[np.bool_],
        decades: NDArray[np.float32],
        above: NDArray[np.float32],
        report: StepReport,
    ) -> None:
        if spikes.any() and not self._spiking.any():
            self._begin, self._begin_step = self.step_count, report.step
            first = int(np.argmax(np.where(spikes, np.nan_to_num(above), -inf)))
            ratio = f", {10 ** above[first]:.3g} x its median"
            report.add("spike", "spike in", spikes, first, ratio)
        new = spikes & ~self._spiking
        self._medians[new] = decades[new] - above[new]
        # The running median follows a spike, so the one from before decides about its end.
        is_high = decades - self._medians > SPIKE_END * self._ratio
        spiking = spikes | (self._spiking & is_high)
        lasted = self.step_count - self._begin
        if self._spiking.any() and not spiking.any() and lasted > LONG_SPIKE_STEPS:
            text = f"after {report.step - self._begin_step:,} steps usual again:"
            report.add_recovery("spike", text, self._spiking)
        self._spiking = spiking & (lasted < TREND_STEPS)  # then the height is usual

    def _report_often(self, leaps: NDArray[np.bool_], report: StepReport) -> None:
        if self._often:
            return
        for layer in np.flatnonzero(leaps).tolist():
            memory = self._leaps[layer]
            heights = [height for _, height, _ in memory.earlier if height > _OFTEN]
            if len(heights) >= OFTEN_SPIKES:
                self._often = True
                layers = np.arange(len(leaps)) == layer
                ratio = f", up to {10 ** max(heights):.3g} x its median"
                report.add("often", "spikes now and then in", layers, layer, ratio)
                return
