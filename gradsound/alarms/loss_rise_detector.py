"""Detection of losses that jump or rise, and stay high."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import TYPE_CHECKING

from gradsound.alarms.loss_level import LossLevel
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

_KNOWN_MIN = 8  # losses before a rise can be one
_RECOVERY_LOSSES = 8  # losses whose median decides whether the loss is back
_OVER_SPREADS = 3.0  # spreads above the level before; the end of a rise


class LossRiseDetector:
    """Finds losses that jump or rise, and stay high.

    Attributes:
        is_high: Whether the last loss is clearly above the usual.
    """

    def __init__(self) -> None:
        self.level = LossLevel()
        self.is_high = False
        self._streak: list[float] = []  # the last losses, if they are all high
        self._limit: float | None = None  # an alarm holds until the loss is below it
        self._held = 0  # losses under the alarm
        self._recent: deque[float] = deque(maxlen=_RECOVERY_LOSSES)

    def detect(self, step: int, loss: float) -> Iterator[Alarm]:
        """Yields the alarm or the recovery of a step with a finite loss."""
        level = self.level
        known = level.count >= _KNOWN_MIN
        self.is_high = known and loss > level.median + max(
            LOSS_SPREADS * level.spread, LOSS_OUTLIERS * (level.high - level.median)
        )
        if self._limit is not None:
            yield from self._detect_recovery(step, loss, self._limit)
            return
        is_back = known and self._is_back(loss)
        if not (self.is_high or is_back):
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

    def _is_back(self, loss: float) -> bool:
        """Returns whether the loss has lost most of its fall since the start."""
        level = self.level
        if level.fall < LOSS_SPREADS * level.noise or level.lowest < 0 < level.high:
            return False
        if loss <= level.median + level.spread:
            return False
        half = level.best + max(level.fall / 2, LOSS_GAIN * abs(level.best))
        return loss > min(half, level.start)

    def _size(self) -> float:
        """Returns the smallest excess that is worth an alarm."""
        level = self.level
        # Where losses may be 0 or negative, twice a loss means nothing.
        scale = abs(level.median) if level.lowest > 0 else level.highest - level.lowest
        size = LOSS_GAIN * scale
        if level.fall > LOSS_SPREADS * level.noise:
            size = min(size, LOSS_SHARE * level.fall)
        return size
