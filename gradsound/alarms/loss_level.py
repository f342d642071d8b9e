"""The level of a loss: median and spread of the last losses, smoothed start and best.

Shapes: K losses.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.rank_centers import median_of_five
from gradsound.alarms.running_median import slide
from gradsound.alarms.thresholds import LOSS_WINDOW, MAD_TO_STD, OUTLIER_LOSSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REFRESH = 8  # losses between two computations of the spread; they cost 20 us
_START_LOSSES, _SMOOTH_LOSSES = 3, 5  # losses in a median, as single ones are noise
_TINY = 1e-300  # a spread in place of 0, to divide by


@dataclass(frozen=True, slots=True, eq=False)
class LevelPath:
    """The level of a loss at several losses; arrays have the shape (K,).

    Attributes:
        median, spread, lowest, highest, high, best, noise, start: As in `LossLevel`.
    """

    median: NDArray[np.float64]
    spread: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    high: NDArray[np.float64]
    noise: NDArray[np.float64]
    best: NDArray[np.float64]
    start: float

    def __getitem__(self, rows: slice) -> LevelPath:
        """Returns the level at some of the losses."""
        return LevelPath(
            self.median[rows],
            self.spread[rows],
            self.lowest[rows],
            self.highest[rows],
            self.high[rows],
            self.noise[rows],
            self.best[rows],
            self.start,
        )

    @property
    def fall(self) -> NDArray[np.float64]:
        """By how much the loss fell from the start to the best, 0 or more, shape (K,)."""
        return np.maximum(0.0, self.start - self.best)

    @property
    def usual_max(self) -> NDArray[np.float64]:
        """The largest usual loss: all but the outliers of the window are below."""
        return np.maximum(self.high, self.median + 2 * self.spread)


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

    @property
    def is_full(self) -> bool:
        """Whether the window is full."""
        return self.count >= LOSS_WINDOW

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
        if self.count <= _START_LOSSES:
            self.start = _middle(sorted(self._window))
        if self.count >= _SMOOTH_LOSSES:
            last = [self._window[-k] for k in range(1, _SMOOTH_LOSSES + 1)]
            self.best = min(self.best, _middle(sorted(last)))
        if self.count < LOSS_WINDOW or self.count % _REFRESH == 0:
            self._refresh()

    def path(self, losses: NDArray[np.float64]) -> LevelPath:
        """Returns the level before these losses, and after each if `add` adds it.

        Args:
            losses: Finite, shape (K,). The window is full before them.

        Returns:
            Of K + 1 levels.
        """
        known = np.concatenate([self._window, losses])
        lasts = median_of_five(*slide(known, _SMOOTH_LOSSES)[-len(losses) :].T)
        best = np.minimum.accumulate(np.append(self.best, lasts))
        refreshed = np.arange(_REFRESH - self.count % _REFRESH, len(losses) + 1, _REFRESH)
        windows = slide(known, LOSS_WINDOW)[refreshed]
        ascending = np.sort(windows, axis=-1)
        medians = ascending[:, (LOSS_WINDOW - 1) // 2]
        distances = np.sort(np.abs(windows - medians[:, None]), axis=-1)
        changes = np.sort(np.abs(np.diff(windows, axis=-1)), axis=-1)
        spread = np.maximum(MAD_TO_STD * distances[:, (LOSS_WINDOW - 1) // 2], _TINY)
        noise = np.maximum(changes[:, 3 * (LOSS_WINDOW - 1) // 4], _TINY)
        # Of each loss, the last refreshed level.
        rows = np.searchsorted(refreshed, np.arange(len(losses) + 1), side="right")
        return LevelPath(
            np.append(self.median, medians)[rows],
            np.append(self.spread, spread)[rows],
            np.append(self.lowest, ascending[:, 0])[rows],
            np.append(self.highest, ascending[:, -1])[rows],
            np.append(self.high, ascending[:, -OUTLIER_LOSSES])[rows],
            np.append(self.noise, noise)[rows],
            best,
            self.start,
        )

    def follow(self, losses: NDArray[np.float64], path: LevelPath) -> None:
        """Adds losses, at which the level is known.

        Args:
            losses: Finite, shape (K,).
            path: From `path`, of K + 1 levels at least.
        """
        count = len(losses)
        self.count += count
        self._window.extend(losses.tolist())
        self.median, self.spread = float(path.median[count]), float(path.spread[count])
        self.lowest, self.highest = float(path.lowest[count]), float(path.highest[count])
        self.high, self.noise = float(path.high[count]), float(path.noise[count])
        self.best = float(path.best[count])

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
