"""Detection of plateaus: losses that certainly fall no more."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gradsound.alarms.loss_trend import LossTrend, Slope
from gradsound.alarms.thresholds import (
    PLATEAU_FALL,
    PLATEAU_GROWTH,
    PLATEAU_PAUSE,
    PLATEAU_RISE,
    SURE_ERRORS,
    Alarm,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        self._recent: deque[float] = deque(maxlen=_RECENT_LOSSES)

    def detect(self, step: int, loss: float, *, may_begin: bool) -> Iterator[Alarm]:
        """Yields the alarm or the recovery of a step with a finite loss.

        Args:
            step: Number of the step.
            loss: Its loss.
            may_begin: Whether a plateau may begin.
        """
        self._trend.add(step, loss)
        self._recent.append(loss)
        if self._level is not None:
            now = sum(self._recent) / len(self._recent)
            if now < self._level - self._margin:
                self._level = None
                self._next = int(PLATEAU_PAUSE * self._trend.count)
                text = f"the loss falls again: {now:.4g}"
                yield Alarm("recovery", step, text, resolves="plateau")
            return
        if self._trend.count < self._next:
            return
        self._next = int(self._trend.count * PLATEAU_GROWTH)
        if not may_begin:
            return
        for share in _SHARES:
            slope = self._trend.slope(share)
            if _is_plateau(slope):
                self._level = slope.mean
                self._margin = max(PLATEAU_FALL * abs(slope.mean), 2 * slope.error)
                since = f"since step {slope.first_step:,}"
                text = f"plateau: the loss stays at {slope.mean:.4g} {since}"
                yield Alarm("plateau", step, text, persists=True)
                return


def _is_plateau(slope: Slope) -> bool:
    """Returns whether the loss would certainly be as high if the run were twice as long."""
    level, margin = abs(slope.mean), 2 * slope.error
    lowest, highest = slope.rise - margin, slope.rise + margin
    is_falling = -slope.rise > SURE_ERRORS * slope.error
    is_flat = lowest > -PLATEAU_FALL * level and highest < PLATEAU_RISE * level
    return is_flat and not is_falling
