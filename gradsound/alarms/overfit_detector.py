"""Detection of overfitting: evaluation losses that rise while the training loss falls."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from math import inf
from typing import TYPE_CHECKING

from gradsound.alarms.median import median
from gradsound.alarms.thresholds import (
    EVALUATION_FALL,
    OVERFIT_EVALUATIONS,
    OVERFIT_RISE,
    OVERFIT_SHARE,
    Alarm,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class OverfitDetector:
    """Finds evaluation losses that rise for long while the loss of the training falls."""

    def __init__(self) -> None:
        self._last = inf
        self._best: list[tuple[int, float]] = [(0, inf)]  # losses before it, lowest so far
        self._best_step, self._best_loss = 0, inf
        self._since: deque[float] = deque(maxlen=4 * OVERFIT_EVALUATIONS)
        self._is_overfit = False

    def is_falling(self, count: int) -> bool:
        """Returns whether the evaluation loss fell in the second half of the losses.

        Args:
            count: Number of losses of the training so far.
        """
        half = bisect_right(self._best, (count / 2, inf)) - 1
        best = self._best[half][1]
        if best == inf:  # with a single evaluation, nothing is sure
            return self._last < inf
        return self._last < best - EVALUATION_FALL * abs(best)

    def detect(
        self, step: int, evaluation: float, loss: float, count: int
    ) -> Iterator[Alarm]:
        """Yields the alarm or the recovery of a step with a finite evaluation loss.

        Args:
            step: Number of the step.
            evaluation: The evaluation loss.
            loss: The usual loss of the training.
            count: Number of losses of the training so far.
        """
        self._last, best = evaluation, self._best[-1][1]
        if evaluation < best:
            self._best.append((count, evaluation))
            self._best_step, self._best_loss = step, loss
            self._since.clear()
            if self._is_overfit:
                self._is_overfit = False
                text = f"the evaluation loss falls again: {evaluation:.4g}"
                yield Alarm("recovery", step, text, resolves="overfit")
            return
        self._since.append(evaluation)
        if self._is_overfit or len(self._since) < OVERFIT_EVALUATIONS:
            return
        last = [*self._since][-OVERFIT_EVALUATIONS:]
        rises = sum((b > a) - (b < a) for k, a in enumerate(last) for b in last[k + 1 :])
        pairs = len(last) * (len(last) - 1) / 2
        now = median(last[-3:]) - best
        is_worse = now > OVERFIT_RISE * abs(best)
        is_highest = now > OVERFIT_SHARE * (max(self._since) - best)
        still = is_worse and is_highest and rises > pairs / 2
        if still and loss < self._best_loss:
            self._is_overfit = True
            text = (
                f"overfitting: the evaluation loss is {evaluation:.4g}, lowest was "
                f"{best:.4g} at step {self._best_step:,}"
            )
            yield Alarm("overfit", step, text, persists=True)
