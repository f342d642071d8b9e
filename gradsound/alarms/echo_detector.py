"""Detection of gradients that repeat those before: a batch again and again, no zero_grad.

In most layers, the gradient of a step is then far closer to the first moment of the
optimizer than usual.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from collections import deque
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.moment_cosines import MomentCosines
from gradsound.alarms.rank_centers import median_known
from gradsound.alarms.running_median import find_extremes, median, robust_deviation
from gradsound.alarms.thresholds import (
    ECHO_EXCESS,
    ECHO_RATE,
    ECHO_SPREAD_MIN,
    ECHO_STEP,
    ECHO_SUM,
    ECHO_WINDOW,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.alarms.step_report import StepReports

_RECENT_STEPS = 8  # that the usual leaves out, because an echo may just have begun
_KEPT_STEPS = ECHO_WINDOW + _RECENT_STEPS
_SPREAD_STEPS = 2 * ECHO_WINDOW  # of whose heights the scatter is estimated


class EchoDetector:
    """Finds where gradients repeat those before, in most layers.

    Args:
        layers: Number of layers, L.
    """

    def __init__(self, layers: int) -> None:
        self._cosines, self._count = MomentCosines(layers), 0  # of steps
        # Of the last steps: the cosines, and how far most are above the usual; infinite
        # where that is unknown.
        self._kept = np.full((_KEPT_STEPS, layers), np.inf, np.float32)
        self._heights = np.full(_SPREAD_STEPS + _RECENT_STEPS, np.inf, np.float32)
        self._usual = np.full(layers, np.nan, np.float32)
        self._spread = np.nan  # of the heights
        self._sum, self._is_echo = 0.0, False
        self._recent: deque[float] = deque(maxlen=_RECENT_STEPS)  # heights of an echo
        self._paces = np.zeros(ECHO_WINDOW - 1)  # of the last steps

    def detect(
        self,
        numbers: NDArray[np.int64],
        norms: NDArray[np.float64],
        ratios: NDArray[np.float32],
        paces: NDArray[np.float64],
        reports: StepReports,
    ) -> None:
        """Adds the alarms of steps to their reports.

        Args:
            numbers: As for `MomentCosines.find`.
            norms: The same.
            ratios: The same.
            paces: Learning rates of the steps, or update ratios, shape (S,); 0 if unknown.
            reports: The reports of the steps.
        """
        cosines = self._cosines.find(numbers, norms, ratios)
        known = np.concatenate([self._paces, paces])
        self._paces = known[len(paces) :]
        # Gradients of weights that hardly move any more resemble each other.
        moving = paces >= ECHO_RATE * find_extremes(np.maximum, known, ECHO_WINDOW)
        begin = 0
        while begin < len(cosines):
            end = min(len(cosines), begin + _RECENT_STEPS - self._count % _RECENT_STEPS)
            self._detect(cosines[begin:end], moving[begin:end], begin, reports)
            begin = end

    def _detect(
        self,
        cosines: NDArray[np.float64],
        moving: NDArray[np.bool_],
        begin: int,
        reports: StepReports,
    ) -> None:
        """Adds the alarms of steps up to the next estimate of what is usual."""
        above = cosines - self._usual
        heights = median_known(above)
        for row, height in enumerate(heights.tolist()):
            if not isnan(height / self._spread):
                self._judge(begin + row, height, above[row], moving[row], reports)
        self._kept = _append(self._kept, cosines)
        self._heights = _append(self._heights, heights)
        self._count += len(cosines)
        if self._count % _RECENT_STEPS == 0 and not self._is_echo:
            self._usual = median(np.sort(self._kept[:ECHO_WINDOW].T, axis=-1))
            window = np.sort(self._heights[None, :_SPREAD_STEPS], axis=-1)
            spread = float(robust_deviation(window, median(window))[0])
            self._spread = max(spread, ECHO_SPREAD_MIN) if spread == spread else np.nan

    def _judge(
        self,
        row: int,
        height: float,
        above: NDArray[np.float64],
        is_moving: np.bool_,
        reports: StepReports,
    ) -> None:
        """Adds the alarm that begins or ends at a step."""
        if self._is_echo:
            self._recent.append(height)
            mean = sum(self._recent) / _RECENT_STEPS
            if len(self._recent) == _RECENT_STEPS and mean < ECHO_EXCESS * self._spread:
                self._is_echo = False
                text = "gradients differ from step to step again"
                reports[row].add_whole("recovery", text, resolves="echo")
            return
        # A sum of what exceeds the usual scatter: soon high if that is much, later if less.
        excess = min(height / self._spread, ECHO_STEP) - ECHO_EXCESS
        self._sum = max(0.0, self._sum + excess) if is_moving else 0.0
        if self._sum > ECHO_SUM:
            self._is_echo, self._sum = True, 0.0
            self._recent.clear()
            echoing = above > ECHO_EXCESS * self._spread
            first = int(np.nanargmax(above))
            detail = ": check batches and zero_grad"
            reports[row].add("echo", "gradients repeat in", echoing, first, detail)


def _append(kept: NDArray[np.float32], new: NDArray[np.float64]) -> NDArray[np.float32]:
    """Returns the last of these rows; NaN becomes infinite."""
    rows = np.where(np.isnan(new), np.inf, new).astype(np.float32)
    return np.concatenate([kept, rows])[-len(kept) :]
