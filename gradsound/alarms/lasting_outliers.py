"""Ranks whose numbers are far from those of the others: once by much, or for some steps.

All ranks of a training have other batches, so their numbers scatter. The limits come from
how much they have scattered before: a deviation is large compared with that, and lasts.

Shapes: S steps, R ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.rank_centers import PAIR, median_known, median_of_five
from gradsound.alarms.rank_scatter import RankScatter
from gradsound.alarms.thresholds import (
    MAD_TO_STD,
    RANK_END,
    RANK_GROUP,
    RANK_LONG_STEPS,
    RANK_STEPS,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_CHECK_STEPS = 16  # between two estimates of how the numbers scatter
_RECENT_STEPS = 8  # that an estimate leaves out, because an outlier may just have begun
_KEPT_STEPS = _RECENT_STEPS + RANK_LONG_STEPS
_FEW = 3  # ranks at least that have a scatter among them


@dataclass(frozen=True, slots=True)
class Outliers:
    """Ranks that are far from the others from a step on, or with them again.

    Attributes:
        row: Index of the step.
        ranks: Which ranks, shape (R,).
        numbers: How far each rank is from the others, shape (R,).
        steps: Of how many steps these numbers are the median; 0 if the ranks are with the
            others again.
    """

    row: int
    ranks: NDArray[np.bool_]
    numbers: NDArray[np.float64]
    steps: int


class LastingOutliers:
    """Follows how far each rank is from the others in successive steps.

    Args:
        ranks: Number of ranks, R.
        floors: The lowest limits: for one step, for 5, and for 32.
        two_sided: Whether ranks below the others are outliers, too.
        own_levels: Whether each rank may have a level of its own, around which it scatters.

    Attributes:
        floors: The lowest limits now.
        far: Which ranks are outliers now, shape (R,).
    """

    def __init__(
        self,
        ranks: int,
        floors: tuple[float, float, float],
        *,
        two_sided: bool = False,
        own_levels: bool = True,
    ) -> None:
        self.floors = floors
        self._two_sided = two_sided
        self._known = np.full((_KEPT_STEPS, ranks), np.nan)  # of the last steps
        self._count, self._is_unknown = 0, True  # steps so far; whether all are NaN
        self._scatter = RankScatter(ranks, own_levels=own_levels)
        self.far = np.zeros(ranks, bool)
        # Of each rank: the limit it has exceeded; the step at which it began or ended.
        self._limits, self._since = np.zeros(ranks), np.full(ranks, -RANK_LONG_STEPS)
        self._cautious = self._known[1 - RANK_STEPS :]
        self._told: dict[int, NDArray[np.float64]] = {}  # numbers by `Outliers.steps`

    @property
    def until_check(self) -> int:
        """How many steps come before and at the next estimate of the scatter."""
        count = self._count
        if count < RANK_STEPS:
            return RANK_STEPS - count
        return _CHECK_STEPS - count % _CHECK_STEPS

    def find(
        self,
        numbers: NDArray[np.float64],
        next_floors: tuple[float, float, float] | None = None,
        cautious: NDArray[np.float64] | None = None,
    ) -> Iterator[Outliers]:
        """Yields the outliers that begin or end in successive steps.

        Args:
            numbers: How far each rank is above the others, shape (S, R), S not above
                `until_check`; NaN where that is unknown.
            next_floors: The lowest limits from the next estimate on; None for the same.
            cautious: The numbers, or smaller ones, by which a rank becomes an outlier; its
                end and the scatter are found by the others. None for the same.
        """
        if self._is_unknown and np.isnan(numbers).all():
            self._count += len(numbers)
            return
        self._is_unknown = False
        known = np.concatenate([self._known, numbers])
        self._known = known[len(numbers) :]
        medians = self._find_medians(known[-len(numbers) - RANK_STEPS + 1 :])
        first, first_medians = numbers, medians
        self._told = {1: numbers, RANK_STEPS: medians}
        if cautious is not None:
            first, last = cautious, np.concatenate([self._cautious, cautious])
            self._cautious, first_medians = last[len(numbers) :], self._find_medians(last)
        yield from self._judge(medians, first, first_medians)
        self._count += len(numbers)
        if self._count % _CHECK_STEPS and self._count != RANK_STEPS:
            return
        self.floors = next_floors or self.floors
        yield from self._check(len(numbers) - 1, first_medians[-1])

    def _find_medians(self, known: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the medians of the last 5 steps at each step, shape (S, R).

        Args:
            known: The numbers of the steps, and of four before, shape (S + 4, R).
        """
        steps = len(known) - RANK_STEPS + 1
        windows = [known[k : k + steps] for k in range(RANK_STEPS)]
        if np.isnan(known).any():
            medians = median_known(np.stack(windows, axis=-1), RANK_STEPS // 2 + 1)
        else:
            medians = median_of_five(*windows)
        if self._two_sided:  # one easy batch is common, so all of a low rank must be low
            highest = windows[0]
            for window in windows[1:]:
                highest = np.fmax(highest, window)
            medians = np.where(medians < 0, np.minimum(highest, 0.0), medians)
        return medians

    def _judge(
        self,
        medians: NDArray[np.float64],
        first: NDArray[np.float64],
        first_medians: NDArray[np.float64],
    ) -> Iterator[Outliers]:
        """Yields the outliers of successive steps by the limits so far.

        Args:
            medians: The medians of 5 steps by which outliers end, shape (S, R).
            first: The numbers by which they begin, shape (S, R).
            first_medians: The medians of these.
        """
        once, short, _ = self._scatter.limits(self.floors)
        is_once = first > once
        is_short = self._size(first_medians) > short
        rows = np.flatnonzero((is_once | is_short).any(axis=1))
        if not self.far.any() and not len(rows):
            return  # nearly always
        for row in range(len(medians)):
            count = self._count + row
            calm = self.far & (count - self._since >= RANK_STEPS)
            calm &= np.abs(medians[row]) < RANK_END * self._limits  # not where unknown
            if calm.any():
                self.far &= ~calm
                self._since[calm] = count
                yield Outliers(row, calm, medians[row], 0)
            begun = is_short[row], short, RANK_STEPS
            yield from self._begin(row, first_medians[row], *begun)
            yield from self._begin(row, first[row], is_once[row], once, 1)

    def _begin(
        self,
        row: int,
        numbers: NDArray[np.float64],
        candidates: NDArray[np.bool_],
        limit: float,
        steps: int,
    ) -> Iterator[Outliers]:
        """Yields the candidates that are outliers among the ranks of a step, too."""
        begun = candidates & ~self.far
        if not begun.any():
            return
        others = numbers[~self.far & np.isfinite(numbers)]
        if len(others) >= _FEW:
            spread = MAD_TO_STD * np.median(np.abs(others - np.median(others)))
            begun &= self._size(numbers) > RANK_GROUP * spread
        if len(begun) == PAIR:  # each deviates from the other; the higher one counts
            begun &= (not self.far.any()) & (
                numbers >= np.max(numbers[begun], initial=-inf)
            )
        if not begun.any():
            return
        self.far |= begun
        self._limits[begun] = limit
        self._since[begun] = self._count + row
        told = self._told.get(steps)
        yield Outliers(row, begun, numbers if told is None else told[row], steps)

    def _check(self, row: int, medians: NDArray[np.float64]) -> Iterator[Outliers]:
        """Estimates the scatter anew, and looks at the medians of many steps.

        Args:
            row: Index of the last step.
            medians: The medians of 5 steps there, shape (R,).
        """
        now, early = self._count, self._count < _CHECK_STEPS
        window = self._known if early else self._known[:-_RECENT_STEPS]
        alike = ~self.far
        if len(alike) < _FEW and not alike.all():
            return  # of two ranks, both are far from each other
        self._scatter.learn(window, alike, early=early)
        _, short, long = self._scatter.limits(self.floors)
        self._count -= row + 1  # `_begin` counts from the first step of the call
        if early:  # there was no limit before
            is_far = self._size(medians) > short
            yield from self._begin(row, medians, is_far, short, RANK_STEPS)
        medians = median_known(self._known[-RANK_LONG_STEPS:].T, RANK_LONG_STEPS)
        is_far = (self._size(medians) > long) & (now - self._since >= RANK_LONG_STEPS)
        yield from self._begin(row, medians, is_far, long, RANK_LONG_STEPS)
        self._count += row + 1

    def _size(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns how large deviations are; NaN is none."""
        size = np.abs(numbers) if self._two_sided else numbers
        return np.nan_to_num(size, nan=0.0)
