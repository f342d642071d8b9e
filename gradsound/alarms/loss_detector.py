"""Detection of alarms in the loss: not finite, risen, on a plateau, overfitting."""

from __future__ import annotations

from math import isfinite, isnan
from typing import TYPE_CHECKING

from gradsound.alarms.loss_rise_detector import LossRiseDetector
from gradsound.alarms.overfit_detector import OverfitDetector
from gradsound.alarms.plateau_detector import PlateauDetector
from gradsound.alarms.thresholds import (
    FINITE_STEPS,
    PLATEAU_RATE,
    PLATEAU_WARMUP,
    Alarm,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class LossDetector:
    """Finds the alarms of the loss, and of the evaluation loss.

    Args:
        plateau_steps: As in `Thresholds`.

    Attributes:
        is_worse: Whether the last two losses are clearly above the usual.
        is_usual: Whether the last loss is finite and not above the usual.
    """

    def __init__(self, plateau_steps: int) -> None:
        self._rise, self._plateau = LossRiseDetector(), PlateauDetector(plateau_steps)
        self._overfit = OverfitDetector()
        self._finite_streak, self._is_nonfinite = 0, False
        self.is_worse = self.is_usual = False
        self._highest_rate, self._highest_count = 0.0, 0  # losses before it

    def detect(
        self,
        step: int,
        loss: float | None,
        evaluation: float | None = None,
        rate: float | None = None,
    ) -> Iterator[Alarm]:
        """Yields the alarms and recoveries of a step.

        Args:
            step: Number of the step.
            loss: Its loss; None if none was logged.
            evaluation: Its evaluation loss; None if none was logged.
            rate: Its learning rate; None if none was logged.
        """
        if loss is not None:
            yield from self._detect_nonfinite(step, loss)
            was_high = self._rise.is_high
            may_begin = self._may_plateau(rate)
            if isfinite(loss):
                yield from self._rise.detect(step, loss)
                yield from self._plateau.detect(step, loss, may_begin=may_begin)
            self.is_worse = (was_high and self._rise.is_high) or not isfinite(loss)
            self.is_usual = isfinite(loss) and loss <= self._rise.level.usual_max
        if evaluation is not None and isfinite(evaluation):
            level = self._rise.level
            yield from self._overfit.detect(step, evaluation, level.median, level.count)

    def _may_plateau(self, rate: float | None) -> bool:
        """Returns whether a plateau would mean something.

        At the beginning of a schedule, the loss hardly falls yet; at its end, it stays by
        design. And while the evaluation loss falls, the training makes progress.
        """
        count = self._rise.level.count
        if self._overfit.is_falling(count):
            return False
        if rate is None:
            return True
        if rate > self._highest_rate:
            self._highest_rate, self._highest_count = rate, count
        warms = count < PLATEAU_WARMUP * self._highest_count
        return not warms and rate >= PLATEAU_RATE * self._highest_rate

    def _detect_nonfinite(self, step: int, loss: float) -> Iterator[Alarm]:
        self._finite_streak = self._finite_streak + 1 if isfinite(loss) else 0
        if not isfinite(loss) and not self._is_nonfinite:
            self._is_nonfinite = True
            text = f"the loss is {'NaN' if isnan(loss) else 'infinite'}"
            yield Alarm("nonfinite", step, text, persists=True)
        elif self._is_nonfinite and self._finite_streak == FINITE_STEPS:
            self._is_nonfinite = False
            text = f"the loss is finite again: {loss:.4g}"
            yield Alarm("recovery", step, text, resolves="nonfinite")
