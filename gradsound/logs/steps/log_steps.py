"""Steps of a log as arrays: the form in which a log is sorted.

Shapes: S steps, E entries; an entry is one number with a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class LogSteps:
    """Steps of a log, each once, in ascending order.

    Attributes:
        numbers: The numbers of the steps, ascending, shape (S,), int64.
        times: When each was logged, in seconds on any clock, shape (S,), float64; NaN if
            that is unknown.
        begins: Index of the first entry of each step, and at last E, shape (S + 1,), int64.
        places: Of each entry, the index of its name in the log, ascending within a step,
            each once, shape (E,), int32.
        values: The logged numbers, shape (E,), float64.
    """

    numbers: NDArray[np.int64]
    times: NDArray[np.float64]
    begins: NDArray[np.int64]
    places: NDArray[np.int32]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        """Returns S."""
        return len(self.numbers)

    @property
    def rows(self) -> NDArray[np.intp]:
        """Index of the step of each entry, shape (E,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.begins))

    def take(self, begin: int, end: int) -> LogSteps:
        """Returns the steps from one row to another, which is not among them."""
        begins = self.begins[begin : end + 1]
        entries = slice(int(begins[0]), int(begins[-1]))
        return LogSteps(
            self.numbers[begin:end],
            self.times[begin:end],
            begins - begins[0],
            self.places[entries],
            self.values[entries],
        )

    def between(self, low: float, high: float) -> LogSteps:
        """Returns the steps from a number on, and below another."""
        begin, end = np.searchsorted(self.numbers, (low, high)).tolist()
        return self.take(begin, end)

    def cut(self, cuts: NDArray[np.int64]) -> LogSteps:
        """Returns the steps without some entries, and without the steps left empty.

        Args:
            cuts: By the index of each name, the step from which on its entries go.
        """
        counts = np.diff(self.begins)
        kept = np.repeat(self.numbers, counts) < cuts[self.places]
        ends = np.append([0], np.cumsum(kept))[self.begins]
        rows = np.flatnonzero(np.diff(ends))
        return LogSteps(
            self.numbers[rows],
            self.times[rows],
            np.append(ends[rows], ends[-1]),
            self.places[kept],
            self.values[kept],
        )


def sort_entries(
    numbers: NDArray[np.int64],
    times: NDArray[np.float64],
    places: NDArray[np.int32],
    values: NDArray[np.float64],
) -> LogSteps:
    """Returns the steps of one or more entries, which are in the order of the log.

    If an entry comes twice, with one step and one name, the later one counts. The last
    known time of a step is its time.

    Args:
        numbers: The step of each entry, shape (E,).
        times: The time of each entry, shape (E,); NaN if it is unknown.
        places: Indices of the names, shape (E,).
        values: The logged numbers, shape (E,).
    """
    order = None
    is_new = np.diff(numbers) > 0  # whether the step is another than that before
    if not (is_new | ((np.diff(numbers) == 0) & (np.diff(places) > 0))).all():
        order = np.lexsort((places, numbers))  # stable
        numbers, places, values = numbers[order], places[order], values[order]
        is_new = np.diff(numbers) > 0
    rows = np.concatenate([[0], np.cumsum(is_new)])
    rows_in_log = rows
    if order is not None:
        rows_in_log = np.empty_like(rows)
        rows_in_log[order] = rows
        last = np.append(is_new | (np.diff(places) > 0), [True])
        if not last.all():
            numbers, places, values = numbers[last], places[last], values[last]
            is_new = np.diff(numbers) > 0
    begins = np.concatenate([[0], np.flatnonzero(is_new) + 1, [len(numbers)]])
    row_times = np.full(len(begins) - 1, np.nan)
    known = ~np.isnan(times)
    row_times[rows_in_log[known]] = times[known]  # of several, numpy keeps the last
    return LogSteps(numbers[begins[:-1]], row_times, begins, places, values)


def merge(parts: Sequence[LogSteps]) -> LogSteps:
    """Returns the steps of one or more parts of a log, which are in its order."""
    if len(parts) == 1:
        return parts[0]
    counts = [np.diff(part.begins) for part in parts]
    return sort_entries(
        np.concatenate([np.repeat(part.numbers, n) for part, n in zip(parts, counts)]),
        np.concatenate([np.repeat(part.times, n) for part, n in zip(parts, counts)]),
        np.concatenate([part.places for part in parts]),
        np.concatenate([part.values for part in parts]),
    )
