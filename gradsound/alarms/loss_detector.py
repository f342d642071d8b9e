"""Detection of alarms in the loss: not finite, risen, on a plateau, overfitting.

Shapes: S steps, K losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.alarms.loss_rise_detector import LossRiseDetector
from gradsound.alarms.overfit_detector import OverfitDetector
from gradsound.alarms.plateau_detector import PlateauDetector
from gradsound.alarms.thresholds import (
    FINITE_STEPS,
    PLATEAU_RATE,
    PLATEAU_WARMUP,
    Alarm,
)
from gradsound.runs.step_block import LoggedValue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from gradsound.alarms.loss_rise_detector import JudgedLosses


_NONE = LoggedValue(np.zeros(0, np.intp), np.zeros(0))


@dataclass(frozen=True, slots=True, eq=False)
class _Rates:
    """The learning rates at losses; arrays have the shape (K,).

    Attributes:
        now: The rate.
        known: Whether the step of the loss has a rate.
        highest: The highest rate so far.
        highest_counts: How many losses came before it.
        counts: How many losses came before this one.
    """

    now: NDArray[np.float64]
    known: NDArray[np.bool_]
    highest: NDArray[np.float64]
    highest_counts: NDArray[np.int64]
    counts: NDArray[np.int64]

    def may_plateau(self, k: int) -> bool:
        """Returns whether the schedule neither begins nor ends at a loss."""
        if not self.known[k]:
            return True
        warms = self.counts[k] < PLATEAU_WARMUP * self.highest_counts[k]
        return not warms and bool(self.now[k] >= PLATEAU_RATE * self.highest[k])


@dataclass(frozen=True, slots=True, eq=False)
class LossLevels:
    """Where the losses of steps are; a step without a loss is like the one before.

    Attributes:
        high: Whether the last loss is clearly above the usual, shape (S,), bool.
        worse: Whether the last two losses are, shape (S,), bool.
        usual: Whether the last loss is finite and not above the usual, shape (S,), bool.
    """

    high: NDArray[np.bool_]
    worse: NDArray[np.bool_]
    usual: NDArray[np.bool_]

    def take(self, rows: NDArray[np.intp]) -> LossLevels:
        """Returns those of some of the steps."""
        return LossLevels(self.high[rows], self.worse[rows], self.usual[rows])


class LossDetector:
    """Finds the alarms of the loss, and of the evaluation loss.

    Args:
        plateau_steps: As in `Thresholds`.
    """

    def __init__(self, plateau_steps: int) -> None:
        self._rise, self._plateau = LossRiseDetector(), PlateauDetector(plateau_steps)
        self._overfit = OverfitDetector()
        self._finite_streak, self._is_nonfinite = 0, False
        self._was_high = False  # whether the last finite loss was
        self._levels = np.zeros((3, 1), bool)  # those of `LossLevels`, at the last step
        self._highest_rate, self._highest_count = 0.0, 0  # losses before it

    def detect(
        self, numbers: NDArray[np.int64], values: Mapping[str, LoggedValue]
    ) -> tuple[list[tuple[int, Alarm]], LossLevels]:
        """Finds the alarms of successive steps.

        Args:
            numbers: Numbers of the steps, shape (S,).
            values: The values "loss", "evaluation" and "lr", of the steps that have them.

        Returns:
            The row of a step with each alarm, in order; and where the losses are.
        """
        logged = values.get("loss", _NONE)
        finite = np.isfinite(logged.numbers)
        losses = LoggedValue(logged.rows[finite], logged.numbers[finite])
        level = self._rise.level
        count, median = level.count, level.median
        judged = self._rise.detect(numbers[losses.rows], losses.numbers)
        counts, medians = _after(count, judged.counts), _after(median, judged.medians)
        alarms = [*self._detect_nonfinite(numbers, logged)]
        alarms += [(int(losses.rows[k]), alarm) for k, alarm in judged.alarms]
        rates = self._find_rates(values.get("lr", _NONE), losses, counts)
        evaluations = values.get("evaluation", _NONE)
        alarms += self._detect_trends(numbers, losses, rates, evaluations, counts, medians)
        alarms.sort(key=lambda found: found[0])  # stable: by detector within a step
        return alarms, self._find_levels(len(numbers), logged, finite, judged)

    def _find_levels(
        self,
        steps: int,
        logged: LoggedValue,
        finite: NDArray[np.bool_],
        judged: JudgedLosses,
    ) -> LossLevels:
        """Returns where the losses of all steps are."""
        known = _after(self._was_high, judged.high)
        self._was_high = bool(known[-1])
        high, worse, usual = ~finite, ~finite, finite.copy()
        high[finite], usual[finite] = judged.high, judged.usual
        worse[finite] = known[1:] & known[:-1]
        last = np.searchsorted(logged.rows, np.arange(steps), side="right")
        levels = np.concatenate([self._levels, [high, worse, usual]], axis=1)
        self._levels = levels[:, -1:]
        return LossLevels(*levels[:, last])

    def _detect_trends(
        self,
        numbers: NDArray[np.int64],
        losses: LoggedValue,
        rates: _Rates | None,
        evaluations: LoggedValue,
        counts: NDArray[np.int64],
        medians: NDArray[np.float64],
    ) -> Iterator[tuple[int, Alarm]]:
        """Yields plateaus and overfitting: row of a step, and the alarm."""
        begin, steps = 0, numbers[losses.rows]

        def may_begin(k: int) -> bool:
            # At the beginning of a schedule, the loss hardly falls yet; at its end, it
            # stays by design. While the evaluation loss falls, the training progresses.
            k += begin
            if self._overfit.is_falling(int(counts[k])):
                return False
            return rates is None or rates.may_plateau(k)

        # An evaluation comes after the loss of its step.
        ends = np.searchsorted(losses.rows, evaluations.rows, side="right").tolist()
        ends.append(len(steps))
        for k, end in enumerate(ends):
            plateaus = self._plateau.detect(
                steps[begin:end], losses.numbers[begin:end], may_begin
            )
            for loss, alarm in plateaus:
                yield int(losses.rows[begin + loss]), alarm
            begin = end
            if k < len(evaluations.rows) and isfinite(evaluations.numbers[k]):
                row, evaluation = int(evaluations.rows[k]), float(evaluations.numbers[k])
                found = self._overfit.detect(
                    int(numbers[row]), evaluation, float(medians[end]), int(counts[end])
                )
                yield from ((row, alarm) for alarm in found)

    def _find_rates(
        self, logged: LoggedValue, losses: LoggedValue, counts: NDArray[np.int64]
    ) -> _Rates | None:
        """Returns the learning rates at losses, if any, and keeps the highest."""
        if not len(logged.rows):
            return None
        places = np.searchsorted(logged.rows, losses.rows)
        places[places == len(logged.rows)] = -1
        known = np.append(logged.rows, -1)[places] == losses.rows
        now = np.where(known, np.append(logged.numbers, np.nan)[places], np.nan)
        risen = np.fmax.accumulate(_after(self._highest_rate, now))
        is_new = _after(False, risen[1:] > risen[:-1])
        # Of each loss, how many losses came before the highest rate.
        at = np.where(is_new, _after(0, counts[:-1]), -1)
        at[0] = self._highest_count
        last = np.maximum.accumulate(np.where(at >= 0, np.arange(len(at)), 0))
        self._highest_rate, self._highest_count = float(risen[-1]), int(at[last[-1]])
        return _Rates(now, known, risen[1:], at[last][1:], counts[:-1])

    def _detect_nonfinite(
        self, numbers: NDArray[np.int64], logged: LoggedValue
    ) -> Iterator[tuple[int, Alarm]]:
        """Yields losses that are not finite, and the recovery: row, and alarm."""
        finite = np.isfinite(logged.numbers)
        if finite.all() and not self._is_nonfinite:
            return  # nearly always
        for row, loss in zip(logged.rows.tolist(), logged.numbers.tolist()):
            self._finite_streak = self._finite_streak + 1 if isfinite(loss) else 0
            if not isfinite(loss) and not self._is_nonfinite:
                self._is_nonfinite = True
                text = f"the loss is {'NaN' if isnan(loss) else 'infinite'}"
                yield row, Alarm("nonfinite", int(numbers[row]), text, persists=True)
            elif self._is_nonfinite and self._finite_streak == FINITE_STEPS:
                self._is_nonfinite = False
                text = f"the loss is finite again: {loss:.4g}"
                yield row, Alarm("recovery", int(numbers[row]), text, resolves="nonfinite")


def _after(first: float, others: NDArray[Any]) -> NDArray[Any]:
    """Returns an array with one more number before the others, shape (K + 1,)."""
    return np.concatenate(([first], others))
