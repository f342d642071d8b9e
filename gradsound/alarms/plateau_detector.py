"""Detection of plateaus: losses that certainly fall no more.

Shapes: K losses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.loss_trend import LossTrend, Slope
from gradsound.alarms.running_median import slide
from gradsound.alarms.thresholds import (
    PLATEAU_FALL,
    PLATEAU_GROWTH,
    PLATEAU_PAUSE,
    PLATEAU_RISE,
    SURE_ERRORS,
    Alarm,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_SHARES = (1 / 2, 1 / 4)  # of the run, from its end; a plateau fills one of them
_RECENT_LOSSES = 16  # losses whose mean decides whether the loss falls again


class PlateauDetector:
    """Finds losses that certainly do not fall.

    Args:
        first: Number of losses at which the first check may be.
    """

    def __init__(self, first: int) -> None:
        self._trend, self._next = LossTrend(), first
        self._level: float | None = None  # of the plateau, while the loss is on it
        self._margin = 0.0  # below the level, where the plateau ends
        self._recent = np.full(_RECENT_LOSSES - 1, np.nan)  # the last losses

    def detect(
        self,
        steps: NDArray[np.int64],
        losses: NDArray[np.float64],
        may_begin: Callable[[int], bool],
    ) -> Iterator[tuple[int, Alarm]]:
        """Yields the alarms and recoveries of steps with a finite loss.

        Args:
            steps: Numbers of the steps, shape (K,).
            losses: Their losses, shape (K,).
            may_begin: Returns whether a plateau may begin at the loss of some index.

        Yields:
            Index of a loss, and its alarm.
        """
        recent = np.concatenate([self._recent, losses])
        self._recent = recent[-(_RECENT_LOSSES - 1) :]
        begin = 0
        while begin < len(losses):
            if self._level is None:
                end, alarm = self._find_begin(begin, steps, losses, may_begin)
            else:
                end, alarm = self._find_end(begin, steps, losses, recent, self._level)
            if alarm is not None:
                yield end - 1, alarm
            begin = end

    def _find_end(
        self,
        begin: int,
        steps: NDArray[np.int64],
        losses: NDArray[np.float64],
        recent: NDArray[np.float64],
        level: float,
    ) -> tuple[int, Alarm | None]:
        """Adds losses up to the end of the plateau; returns how many, and its alarm."""
        means = slide(recent, _RECENT_LOSSES)[begin:].mean(axis=1)
        ended = means < level - self._margin
        end = begin + int(ended.argmax()) + 1 if ended.any() else len(losses)
        self._trend.add(steps[begin:end], losses[begin:end])
        if not ended.any():
            return end, None
        self._level = None
        self._next = int(PLATEAU_PAUSE * self._trend.count)
        text = f"the loss falls again: {means[end - 1 - begin]:.4g}"
        return end, Alarm("recovery", int(steps[end - 1]), text, resolves="plateau")

    def _find_begin(
        self,
        begin: int,
        steps: NDArray[np.int64],
        losses: NDArray[np.float64],
        may_begin: Callable[[int], bool],
    ) -> tuple[int, Alarm | None]:
        """Adds losses up to the next check; returns how many, and the alarm if any."""
        end = min(len(losses), begin + max(1, self._next - self._trend.count))
        self._trend.add(steps[begin:end], losses[begin:end])
        if self._trend.count < self._next:
            return end, None
        self._next = int(self._trend.count * PLATEAU_GROWTH)
        if not may_begin(end - 1):
            return end, None
        for share in _SHARES:
            slope = self._trend.slope(share)
            if _is_plateau(slope):
                self._level = slope.mean
                self._margin = max(PLATEAU_FALL * abs(slope.mean), 2 * slope.error)
                since = f"since step {slope.first_step:,}"
                text = f"plateau: the loss stays at {slope.mean:.4g} {since}"
                return end, Alarm("plateau", int(steps[end - 1]), text, persists=True)
        return end, None


def _is_plateau(slope: Slope) -> bool:
    """Returns whether the loss would certainly be as high if the run were twice as long."""
    level, margin = abs(slope.mean), 2 * slope.error
    lowest, highest = slope.rise - margin, slope.rise + margin
    is_falling = -slope.rise > SURE_ERRORS * slope.error
    is_flat = lowest > -PLATEAU_FALL * level and highest < PLATEAU_RISE * level
    return is_flat and not is_falling
