"""Peaks, norms above the ratio of a spike: of one step, and those a layer had before.

Shapes: S steps, L layers, W norms of a window.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, log10
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.running_median import (
    median,
    median_bounds,
    robust_deviation,
    split,
)
from gradsound.alarms.thresholds import (
    DEVIATION_MIN,
    FEW_SPIKES,
    MEMORY_STEPS,
    RECORD_RATIO,
    SPIKE_SHARE,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gradsound.alarms.thresholds import Thresholds

_RECORD, _SHARE = log10(RECORD_RATIO), log10(SPIKE_SHARE)
_FEW_STEPS = 8


@dataclass(slots=True)
class PeakMemory:
    """The peaks of one layer: successive norms above the ratio of a spike.

    Attributes:
        last: Step count of the last norm of a peak.
        steps: How many steps the current peak lasts.
        height: Its highest norm, in decades above the median.
        norm: Its highest norm, in decades.
        earlier: Step count, height and norm of the peaks before it, of the last
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
        """Returns whether several earlier peaks were about as high."""
        if len(self.earlier) < FEW_SPIKES:
            return False
        _, heights, norms = zip(*self.earlier)
        is_record = height > max(heights) + _RECORD and norm > max(norms) + _RECORD
        return not is_record


@dataclass(frozen=True, slots=True)
class StepPeaks:
    """The peaks of one step, one for each layer that has one.

    Attributes:
        row: Index of the step.
        layers: Indices of these layers.
        above: Their distances above the median, in decades.
        rare: Whether the distance is many deviations.
    """

    row: int
    layers: list[int]
    above: list[float]
    rare: list[bool]


def find_peaks(
    decades: NDArray[np.float32],
    largest: NDArray[np.float32],
    windows: NDArray[np.float32],
    first: int,
    thresholds: Thresholds,
) -> Iterator[StepPeaks]:
    """Yields the peaks of those steps that have any, in order.

    Args:
        decades: log10 of the norms, shape (S, L); NaN where there is no norm.
        largest: The largest norm of each step, shape (S,).
        windows: From `RunningMedian.windows`, shape (L, S, W).
        first: Row of the first step that may have one.
        thresholds: Limits of the alarms.
    """
    ratio = log10(thresholds.spike_ratio)
    possible = _find_candidates(decades, largest, windows, ratio)
    possible[:first] = False
    layers, rows = np.nonzero(possible.T)
    above = np.zeros(len(rows), np.float32)
    own = np.zeros(len(rows), np.float32)  # deviations
    for part in split(len(rows)):
        ascending = np.sort(windows[layers[part], rows[part]], axis=-1)
        medians = median(ascending)
        above[part] = decades[rows[part], layers[part]] - medians
        peak = above[part] > ratio
        own[part][peak] = robust_deviation(ascending[peak], medians[peak])
    peaks = np.flatnonzero(above > ratio)
    peaks = peaks[np.argsort(rows[peaks], kind="stable")]
    layers, rows, above, own = layers[peaks], rows[peaks], above[peaks], own[peaks]
    rare = above > thresholds.spike * np.maximum(own, DEVIATION_MIN)
    begins = np.flatnonzero(np.diff(rows, prepend=-1)).tolist()
    # Slices of lists take less time than those of arrays.
    numbers, indices, heights = rows.tolist(), layers.tolist(), above.tolist()
    flags: list[bool] = rare.tolist()
    for begin, end in pairwise([*begins, len(rows)]):
        step = slice(begin, end)
        are_rare = flags[step]
        if any(are_rare):
            # Among many layers, one often has 32 norms that are close together by chance.
            # Its next norm would be a false spike, so the deviation is at least the median
            # of all layers.
            usual = _usual_deviation(windows[:, numbers[begin]])
            are_rare = (rare[step] & (above[step] > thresholds.spike * usual)).tolist()
        yield StepPeaks(numbers[begin], indices[step], heights[step], are_rare)


def _find_candidates(
    decades: NDArray[np.float32],
    largest: NDArray[np.float32],
    windows: NDArray[np.float32],
    ratio: float,
) -> NDArray[np.bool_]:
    """Returns which norms may be a peak, shape (S, L)."""
    with np.errstate(divide="ignore", invalid="ignore"):  # all norms may be 0
        share = decades - np.log10(largest)[:, None]
        # For few steps, the lowest norm of a window is the cheaper bound.
        is_few = len(decades) < _FEW_STEPS
        bounds = windows.min(axis=-1) if is_few else median_bounds(windows)
        possible = decades - bounds.T > ratio
    # A peak of a layer with a tiny norm does not change the update.
    return np.asarray(possible & (share > _SHARE))


def _usual_deviation(windows: NDArray[np.float32]) -> np.float32:
    """Returns the median of the robust deviations of windows, shape (L, W)."""
    ascending = np.sort(windows, axis=-1)
    deviations = np.nan_to_num(robust_deviation(ascending, median(ascending)))
    # np.median would load numpy.ma, which takes 20 ms.
    middle = slice((len(deviations) - 1) // 2, len(deviations) // 2 + 1)
    return np.float32(np.sort(deviations)[middle].mean())
