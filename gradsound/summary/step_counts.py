"""Counts of the steps of a run: recorded, left out, skipped, clipped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.runs.step_block import StepBlock

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

    def add(self, steps: StepBlock) -> None:
        """Counts successive steps."""
        if not len(steps):
            return
        numbers = steps.numbers
        if self._last is None:
            self._first = int(numbers[0])
        else:
            self._distances[int(numbers[0]) - self._last] += 1
        distances, counts = np.unique(np.diff(numbers), return_counts=True)
        self._distances.update(dict(zip(distances.tolist(), counts.tolist())))
        if len(self._distances) > _DISTANCES_MAX:
            self._distances = Counter(dict(self._distances.most_common(_DISTANCES_MAX)))
        self._count, self._last = self._count + len(steps), int(numbers[-1])
        self.seconds = float(steps.times[-1])
        self.discarded = _count(self.discarded, numbers[steps.discarded])
        self.skipped = _count(self.skipped, numbers[steps.skipped & ~steps.discarded])
        clipped = steps.clipped & ~steps.skipped
        if clipped.any():
            smaller, count, largest = self.clipped or (0, 0, 1.0)
            factors = _clipping_factors(steps.take(clipped))
            factors = factors[(factors > _CLIPPED_MIN) & (factors < np.inf)]  # not NaN
            largest = max(largest, float(factors.max(initial=1.0)))
            self.clipped = smaller + len(factors), count + int(clipped.sum()), largest

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


def _count(
    known: tuple[int, int, int] | None, numbers: NDArray[np.int64]
) -> tuple[int, int, int] | None:
    """Returns the first and the last step and how many they are, with more steps."""
    if not len(numbers):
        return known
    first, _, count = known or (int(numbers[0]), 0, 0)
    return first, int(numbers[-1]), count + len(numbers)


def _clipping_factors(steps: StepBlock) -> NDArray[np.float64]:
    """Returns how many times clipping reduced the total norm of each step, shape (S,)."""
    before, after = (
        np.sqrt(np.where(steps.absent, 0.0, norms.astype(np.float64) ** 2).sum(axis=1))
        for norms in (steps.unclipped, steps.norms)
    )
    with np.errstate(invalid="ignore"):  # infinity / infinity
        return np.asarray(before / np.maximum(after, _TINY))
