"""Counts of the steps of a run: recorded, left out, skipped, clipped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.runs.model import Step

_CLIPPED_MIN = 1 + 1e-5  # times smaller; less is rounding
_TINY = 1e-300  # a norm in place of 0, to divide by
_REGULAR = 0.75  # of the distances; trainers also log the last step of an epoch
_DISTANCES_MAX = 1000  # different ones; a log with more has no rule


@dataclass(frozen=True, slots=True)
class LoggedSteps:
    r"""Which steps of a training the run has.

    Attributes:
        count: How many steps the run has.
        first: Number of the first one; None if there is none.
        last: Number of the last one; None if there is none.
        every: The distance of three quarters or more of successive steps: 20 if the run has
            every 20th step; None if there is no such distance.
        total: How many steps the training took meanwhile. If the run does not say so, these
            are the distance from the first to the last, and ``every`` steps up to the first
            (one, without ``every``).

    Example:
        >>> from pathlib import Path
        >>> import gradsound
        >>> _ = Path("metrics.csv").write_text("step,grad_norm\n20,0.5\n40,0.25\n")
        >>> gradsound.summarize(gradsound.read_run("metrics.csv")).logged
        LoggedSteps(count=2, first=20, last=40, every=20, total=40)
    """

    count: int
    first: int | None
    last: int | None
    every: int | None
    total: int


class StepCounts:
    """Counts of the steps that were added.

    Attributes:
        seconds, skipped, discarded, clipped: As in `Summary`.
    """

    def __init__(self) -> None:
        self.seconds, self._count = 0.0, 0
        self._first: int | None = None
        self._last: int | None = None
        self._distances: Counter[int] = Counter()
        self.skipped: tuple[int, int, int] | None = None
        self.discarded: tuple[int, int, int] | None = None
        self.clipped: tuple[int, int, float] | None = None

    def add(self, step: Step) -> None:
        """Counts a step."""
        if self._last is None:
            self._first = step.number
        elif len(self._distances) < _DISTANCES_MAX:
            self._distances[step.number - self._last] += 1
        self._count, self._last, self.seconds = self._count + 1, step.number, step.time
        if step.discarded:
            self.discarded = _count(self.discarded, step)
        elif step.skipped:
            self.skipped = _count(self.skipped, step)
        elif step.raw is not None:
            smaller, count, largest = self.clipped or (0, 0, 1.0)
            factor = _clipping_factor(step, step.raw)
            if _CLIPPED_MIN < factor < np.inf:  # false if NaN
                smaller, largest = smaller + 1, max(largest, factor)
            self.clipped = smaller, count + 1, largest

    def logged(self) -> LoggedSteps:
        """Returns which steps the run has; the total follows from their numbers."""
        if self._first is None or self._last is None:
            return LoggedSteps(0, None, None, None, 0)
        every = None
        if self._distances:
            usual, times = self._distances.most_common(1)[0]
            every = usual if times >= _REGULAR * (self._count - 1) else None
        total = self._last - self._first + (every or 1)
        return LoggedSteps(self._count, self._first, self._last, every, total)


def _count(steps: tuple[int, int, int] | None, step: Step) -> tuple[int, int, int]:
    """Returns the first and the last step and how many they are, with one more step."""
    first, _, count = steps or (step.number, 0, 0)
    return first, step.number, count + 1


def _clipping_factor(step: Step, raw: NDArray[np.float32]) -> float:
    """Returns how many times clipping reduced the total norm of a step."""
    present = ~step.absent
    return _total_norm(raw[present]) / max(_total_norm(step.norms[present]), _TINY)


def _total_norm(norms: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.sum(np.square(norms, dtype=np.float64))))
