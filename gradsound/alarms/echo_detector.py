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
    ECHO_LAYERS,
    ECHO_OUTSIDE,
    ECHO_RATE,
    ECHO_SCATTER,
    ECHO_SPREAD_MIN,
    ECHO_STEP,
    ECHO_SUM,
    ECHO_WINDOW,
    PLATEAU_RATE,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.alarms.step_report import StepReports

_RECENT_STEPS = 8  # that the usual leaves out, because an echo may just have begun
_KEPT_STEPS = ECHO_WINDOW + _RECENT_STEPS
_SPREAD_STEPS = 2 * ECHO_WINDOW  # of whose heights the scatter is estimated
_ROUNDING, _BEYOND = 0.02, 2.0  # of cosines; a number beyond 1, for all that are


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
        self._totals = np.full(
            (_KEPT_STEPS, 1), np.inf, np.float32
        )  # decades, of all layers
        self._usual = np.full(layers, np.nan, np.float32)
        self._spread = np.nan  # of the heights; NaN where the cosines tell nothing
        self._sum, self._is_echo = 0.0, False
        self._recent: deque[float] = deque(maxlen=_RECENT_STEPS)  # heights of an echo
        self._paces = np.zeros(ECHO_WINDOW - 1)  # of the last steps
        self._highest = 0.0  # pace of the run

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
        highest = np.maximum.accumulate(np.concatenate([[self._highest], paces]))[1:]
        self._highest = float(highest[-1])
        moving = paces >= np.maximum(
            ECHO_RATE * find_extremes(np.maximum, known, ECHO_WINDOW),
            PLATEAU_RATE * highest,
        )
        squares = np.nansum(norms**2, axis=1, keepdims=True)
        totals = np.log10(np.where(squares > 0, squares, np.nan)) / 2
        begin = 0
        while begin < len(cosines):
            end = min(len(cosines), begin + _RECENT_STEPS - self._count % _RECENT_STEPS)
            part = slice(begin, end)
            self._totals = _append(self._totals, totals[part])
            self._detect(cosines[part], moving[part], begin, reports)
            begin = end

    def _detect(
        self,
        cosines: NDArray[np.float64],
        moving: NDArray[np.bool_],
        begin: int,
        reports: StepReports,
    ) -> None:
        """Adds the alarms of steps up to the next estimate of what is usual."""
        above = np.clip(cosines, -1, 1) - self._usual
        few = above.shape[1] < ECHO_LAYERS  # then all must be above the usual
        heights = np.fmin.reduce(above, axis=1) if few else median_known(above)
        for row, height in enumerate(heights.tolist()):
            if not isnan(height / self._spread):
                self._judge(begin + row, height, above[row], moving[row], reports)
        self._kept = _append(self._kept, np.clip(cosines, -_BEYOND, _BEYOND))
        self._heights = _append(self._heights, heights)
        self._count += len(cosines)
        if self._count % _RECENT_STEPS == 0 and not self._is_echo:
            usual = median(np.sort(self._kept[:ECHO_WINDOW].T, axis=-1))
            self._usual = np.clip(usual, -1, 1)
            spread = _deviation(self._heights[None, :_SPREAD_STEPS])
            tells = spread == spread and self._are_telling()
            self._spread = max(spread, ECHO_SPREAD_MIN) if tells else np.nan

    def _are_telling(self) -> bool:
        """Returns whether the usual cosines tell an echo from chance."""
        usual = self._kept[:ECHO_WINDOW]
        # A moment with another decay, or one that contains much weight decay.
        outside = (np.abs(usual) > 1 + _ROUNDING) & np.isfinite(usual)
        if np.count_nonzero(outside) > ECHO_OUTSIDE * np.count_nonzero(np.isfinite(usual)):
            return False
        # Where a set is learned by heart, a few hard samples make nearly all of the moment,
        # so their next gradients resemble it.
        return _deviation(self._totals[:ECHO_WINDOW].T) < ECHO_SCATTER

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


def _deviation(windows: NDArray[np.float32]) -> float:
    """Returns the robust standard deviation of a window, shape (1, W); NaN if unknown."""
    ascending = np.sort(windows, axis=-1)
    return float(robust_deviation(ascending, median(ascending))[0])


def _append(kept: NDArray[np.float32], new: NDArray[np.float64]) -> NDArray[np.float32]:
    """Returns the last of these rows; NaN becomes infinite."""
    rows = np.where(np.isnan(new), np.inf, new).astype(np.float32)
    return np.concatenate([kept, rows])[-len(kept) :]
