"""Detection of losses that jump or rise, and stay high.

Shapes: K losses.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.loss_level import LossLevel
from gradsound.alarms.median import median
from gradsound.alarms.thresholds import (
    LOSS_GAIN,
    LOSS_OUTLIERS,
    LOSS_SHARE,
    LOSS_SPREADS,
    LOSS_STREAK,
    LOSS_WINDOW,
    Alarm,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gradsound.alarms.loss_level import LevelPath

_KNOWN_MIN = 8  # losses before a rise can be one
_RECOVERY_LOSSES = 8  # losses whose median decides whether the loss is back
_OVER_SPREADS = 3.0  # spreads above the level before; the end of a rise
_CALM_MIN, _CALM_MAX = 32, 1 << 14  # losses of a stretch that may have no event


@dataclass(frozen=True, slots=True, eq=False)
class JudgedLosses:
    """What the detector finds at several losses; arrays have the shape (K,).

    Attributes:
        high: Whether the loss is clearly above the usual.
        usual: Whether the loss is not above the usual.
        medians: Median of the last losses.
        counts: Number of losses of which the level is made.
        alarms: Index of a loss, and the alarm or the recovery that it brings.
    """

    high: NDArray[np.bool_]
    usual: NDArray[np.bool_]
    medians: NDArray[np.float64]
    counts: NDArray[np.int64]
    alarms: list[tuple[int, Alarm]]


class LossRiseDetector:
    """Finds losses that jump or rise, and stay high."""

    def __init__(self) -> None:
        self.level = LossLevel()
        self._streak: list[float] = []  # the last losses, if they are all high
        self._limit: float | None = None  # an alarm holds until the loss is below it
        self._held = 0  # losses under the alarm
        self._recent: deque[float] = deque(maxlen=_RECOVERY_LOSSES)
        self._stretch = _CALM_MIN  # losses that are judged at once

    def detect(self, steps: NDArray[np.int64], losses: NDArray[np.float64]) -> JudgedLosses:
        """Judges successive losses.

        Args:
            steps: Numbers of their steps, shape (K,).
            losses: Finite, shape (K,).
        """
        judged = JudgedLosses(
            high=np.zeros(len(losses), bool),
            usual=np.zeros(len(losses), bool),
            medians=np.zeros(len(losses)),
            counts=np.zeros(len(losses), np.int64),
            alarms=[],
        )
        k = 0
        while k < len(losses):
            stretch = losses[k : k + self._stretch]
            calm = self._follow_calm(stretch, judged, k)
            k += calm
            if calm < len(stretch):
                self._judge(k, int(steps[k]), float(losses[k]), judged)
                k, self._stretch = k + 1, _CALM_MIN
            elif calm == self._stretch:
                self._stretch = min(2 * self._stretch, _CALM_MAX)
        return judged

    def _follow_calm(
        self, losses: NDArray[np.float64], judged: JudgedLosses, first: int
    ) -> int:
        """Judges losses up to the first that is high, and returns how many these are."""
        level = self.level
        # For fewer losses, the numbers of the level are faster one by one.
        is_calm = level.is_full and self._limit is None and not self._streak
        if not is_calm or len(losses) < _CALM_MIN:
            return 0
        path = level.path(losses)
        before = path[:-1]
        events = _is_high(before, losses) | _is_back(before, losses)
        count = int(events.argmax()) if events.any() else len(losses)
        rows = slice(first, first + count)
        after = path[1 : count + 1]
        judged.usual[rows] = losses[:count] <= after.usual_max
        judged.medians[rows] = after.median
        judged.counts[rows] = level.count + 1 + np.arange(count)
        level.follow(losses[:count], path)
        return count

    def _judge(self, k: int, step: int, loss: float, judged: JudgedLosses) -> None:
        """Judges one loss."""
        level = self.level
        known = level.count >= _KNOWN_MIN
        is_high = known and bool(_is_high(level, loss))
        judged.high[k] = is_high
        if self._limit is not None:
            alarms = self._detect_recovery(step, loss, self._limit)
        else:
            is_back = known and bool(_is_back(level, loss))
            alarms = self._detect_rise(step, loss, is_high=is_high, is_back=is_back)
        judged.alarms.extend((k, alarm) for alarm in alarms)
        judged.usual[k] = loss <= level.usual_max
        judged.medians[k], judged.counts[k] = level.median, level.count

    def _detect_rise(
        self, step: int, loss: float, *, is_high: bool, is_back: bool
    ) -> Iterator[Alarm]:
        """Yields the alarm of a loss while none holds."""
        level = self.level
        if not (is_high or is_back):
            for earlier in self._streak:  # a short peak is a part of the usual
                level.add(earlier)
            self._streak.clear()
            level.add(loss)
            return
        self._streak.append(loss)
        if len(self._streak) < LOSS_STREAK:
            return
        excess = min(self._streak) - level.median
        if not (is_back or excess > self._size()):
            level.add(self._streak.pop(0))
            return
        self._limit = level.median + min(_OVER_SPREADS * level.spread, excess / 4)
        text = f"the loss is {loss:.4g}, and was {level.median:.4g}"
        yield Alarm("loss", step, text, persists=True)
        self._held = 0
        self._streak.clear()
        self._recent.clear()

    def _detect_recovery(self, step: int, loss: float, limit: float) -> Iterator[Alarm]:
        """Yields the end of the alarm that holds."""
        self._recent.append(loss)
        self._held += 1
        if self._held > LOSS_WINDOW:  # what lasts is the usual for later losses
            self.level.add(loss)
        if len(self._recent) == _RECOVERY_LOSSES and (now := median(self._recent)) <= limit:
            self._limit = None
            text = f"the loss is back at {now:.4g}"
            yield Alarm("recovery", step, text, resolves="loss")

    def _size(self) -> float:
        """Returns the smallest excess that is worth an alarm."""
        level = self.level
        # Where losses may be 0 or negative, twice a loss means nothing.
        scale = abs(level.median) if level.lowest > 0 else level.highest - level.lowest
        size = LOSS_GAIN * scale
        if level.fall > LOSS_SPREADS * level.noise:
            size = min(size, LOSS_SHARE * level.fall)
        return size


# The rules take one loss and its level, or several losses and the level at each.
def _is_high(
    level: LossLevel | LevelPath, loss: float | NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Returns whether a loss is clearly above the usual."""
    outliers = LOSS_OUTLIERS * (level.high - level.median)
    excess = np.maximum(LOSS_SPREADS * level.spread, outliers)
    return np.asarray(loss > level.median + excess)


def _is_back(
    level: LossLevel | LevelPath, loss: float | NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Returns whether a loss has lost most of its fall since the start."""
    fall = level.fall
    half = level.best + np.maximum(fall / 2, LOSS_GAIN * np.abs(level.best))
    has_fallen = np.asarray(fall >= LOSS_SPREADS * level.noise)
    changes_sign = np.asarray(level.lowest < 0) & np.asarray(level.high > 0)
    is_above = np.asarray(loss > level.median + level.spread)
    is_far = np.asarray(loss > np.minimum(half, level.start))
    return np.asarray(has_fallen & ~changes_sign & is_above & is_far)
