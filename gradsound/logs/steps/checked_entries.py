"""Checks the entries of a log, and numbers its names.

Shapes: E entries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradsound.errors import RunFormatError
from gradsound.runs.step_line import STEP_MAX, TIME_MAX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.logs.scalars import Scalars

_NAMES_MAX = 100_000  # names; no model has more layers
_NAME_MAX = 1000  # characters; a longer one is damage


class Entries(NamedTuple):
    """Entries of a log, in its order, from which `sort_entries` makes steps.

    Attributes:
        numbers: The step of each entry, from 0 to 2**53, shape (E,), int64.
        times: Seconds on any clock, shape (E,), float64; NaN if unknown.
        places: The index of each entry's name in the log, shape (E,), int32.
        values: The logged numbers, shape (E,), float64.
    """

    numbers: NDArray[np.int64]
    times: NDArray[np.float64]
    places: NDArray[np.int32]
    values: NDArray[np.float64]


class EntryChecker:
    """Leaves out entries that no run can have.

    Attributes:
        names: The names of all entries, in the order in which the log first has them.
        rejected: How many entries had no valid step.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.rejected = 0
        self._indices: dict[str, int] = {}

    def check(self, scalars: Scalars) -> Entries:
        """Returns the entries that have a valid step, and no name of megabytes.

        Raises:
            RunFormatError: If the log has more than 100,000 names.
        """
        steps, times, values = scalars.steps, scalars.times, scalars.values
        valid = (steps >= 0) & (steps <= STEP_MAX) & (steps == np.floor(steps))
        self.rejected += len(steps) - int(np.count_nonzero(valid))
        places = self._find_places(scalars, valid)[scalars.places]
        valid &= places >= 0
        if not valid.all():
            steps, times, values = steps[valid], times[valid], values[valid]
            places = places[valid]
        known = np.abs(times) <= TIME_MAX
        times = times if known.all() else np.where(known, times, np.nan)
        return Entries(steps.astype(np.int64), times, places, values)

    def find_place(self, name: str) -> int | None:
        """Returns the index of a name; None if the log does not have it so far."""
        return self._indices.get(name)

    def _find_places(self, scalars: Scalars, valid: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Returns the index of each name of some scalars; -1 for a name without entries."""
        used = np.zeros(len(scalars.names), bool)
        used[scalars.places[valid]] = True
        places = np.full(len(scalars.names), -1, np.int32)
        for k, (name, is_used) in enumerate(zip(scalars.names, used.tolist())):
            if not is_used or len(name) > _NAME_MAX:
                continue
            index = self._indices.setdefault(name, len(self.names))
            if index == len(self.names):
                if index >= _NAMES_MAX:
                    raise RunFormatError(f"more than {_NAMES_MAX:,} different names")
                self.names.append(name)
            places[k] = index
        return places
