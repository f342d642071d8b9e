"""The level of a loss: median and spread of the last losses, smoothed start and best."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from math import inf

from gradsound.alarms.thresholds import LOSS_WINDOW, MAD_TO_STD, OUTLIER_LOSSES

_REFRESH = 8  # losses between two computations of the spread; they cost 20 us
_START_LOSSES, _SMOOTH_LOSSES = 3, 5  # losses in a median, as single ones are noise
_TINY = 1e-300  # a spread in place of 0, to divide by


class LossLevel:
    """Median and spread of the last `LOSS_WINDOW` losses, and the fall since the start.

    Attributes:
        count: Number of losses so far.
        median: Median of the window.
        spread: Robust standard deviation of the window.
        lowest: The smallest loss of the window.
        highest: The largest loss of the window.
        high: The third largest loss of the window.
        start: Median of the first three losses.
        best: Lowest median of five successive losses.
        noise: Third quartile of the differences of successive losses of the window.
    """

    def __init__(self) -> None:
        self.count = 0
        self.median = self.high = self.start = self.best = inf
        self.lowest = self.highest = inf
        self.spread = self.noise = _TINY
        self._window: deque[float] = deque(maxlen=LOSS_WINDOW)
        self._last: deque[float] = deque(maxlen=_SMOOTH_LOSSES)

    @property
    def fall(self) -> float:
        """By how much the loss fell from the start to the best; 0 or more."""
        return max(0.0, self.start - self.best) if self.best < inf else 0.0

    @property
    def usual_max(self) -> float:
        """The largest usual loss: all but the outliers of the window are below."""
        return max(self.high, self.median + 2 * self.spread)

    def add(self, loss: float) -> None:
        """Adds a finite loss."""
        self.count += 1
        self._window.append(loss)
        self._last.append(loss)
        if self.count <= _START_LOSSES:
            self.start = _middle(sorted(self._last))
        if len(self._last) == _SMOOTH_LOSSES:
            self.best = min(self.best, _middle(sorted(self._last)))
        if self.count < LOSS_WINDOW or self.count % _REFRESH == 0:
            self._refresh()

    def _refresh(self) -> None:
        # For so few numbers, sorted() is ten times as fast as numpy.
        window = [*self._window]
        ascending = sorted(window)
        self.median = _middle(ascending)
        self.lowest, self.highest = ascending[0], ascending[-1]
        self.high = ascending[-min(OUTLIER_LOSSES, len(ascending))]
        distances = sorted(abs(loss - self.median) for loss in window)
        self.spread = max(MAD_TO_STD * _middle(distances), _TINY)
        changes = sorted(abs(b - a) for a, b in pairwise(window))
        self.noise = max(changes[3 * len(changes) // 4], _TINY) if changes else _TINY


def _middle(ascending: list[float]) -> float:
    """Returns the lower median of sorted numbers."""
    return ascending[(len(ascending) - 1) // 2]
