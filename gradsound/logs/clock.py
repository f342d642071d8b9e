"""The clock of a table: a column of dates, of seconds since the start, or of durations.

Shapes: R rows.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

# The first of these names that a table has wins, before all others.
_USUAL_NAMES = (
    *("wall_time", "_timestamp", "timestamp", "datetime", "_runtime", "runtime"),
    *("created_at", "elapsed", "elapsed_time", "relative_time_(process)", "time"),
    "time/time_elapsed",
)
_UNIT = (
    r"(?:[_(/]\(?(?P<unit>ms|msecs?|s|secs?|seconds?|min|mins|minutes|h|hrs?|hours?)\)?)?"
)
_TIME = re.compile(
    r"(?:train(?:ing)?_|total_|cumulative_)?(?:wall_?(?:clock)?(?:_time)?|elapsed(?:_time)?"
    rf"|run_?time|relative_time|time(?:_elapsed|_total)?){_UNIT}"
)
_DURATION = re.compile(
    r"(?:train(?:ing)?_)?(?:time_per_(?:step|iter|iteration|batch)"
    r"|(?:step|iter|iteration|batch)_?(?:time|duration)"
    rf"|s(?:ec(?:ond)?s?)?_per_(?:step|iter|iteration|batch)){_UNIT}"
)
_ELAPSED = re.compile(
    r"(?:(\d{1,9})d )?(?:(\d{1,9})h )?(?:(\d{1,9})m )?(\d{1,9})s"
    r"|(?:(\d{1,9}) days?, )?(\d{1,9}):(\d\d):(\d\d)"
)
_UNIT_SECONDS = {"ms": 1e-3, "mi": 60.0, "h": 3600.0}  # by the first letters
_SECONDS_MAX = 1e11  # seconds since 1970, the year 5138; a larger time is in milliseconds


class Clock:
    """Converts one column of a table to the times of its rows.

    Args:
        names: Names of the columns, in lower case, with underscores for spaces.

    Attributes:
        column: Index of the column; None if the table has no clock.
        is_duration: Whether the column has durations, which add up.
        total: The sum of the durations so far, in seconds.
    """

    def __init__(self, names: list[str]) -> None:
        self.column: int | None = None
        self._unit, self.is_duration, self.total = 1.0, False, 0.0  # seconds
        for name in _USUAL_NAMES:
            if name in names:
                self.column = names.index(name)
                return
        for pattern in (_TIME, _DURATION):
            for column, name in enumerate(names):
                if match := pattern.fullmatch(name):
                    self.column, self.is_duration = column, pattern is _DURATION
                    self._unit = _unit_seconds(match["unit"] or "s")
                    return

    def read_cells(self, cells: Iterable[str]) -> NDArray[np.float64]:
        """Returns the times of rows in seconds; NaN where a cell has none.

        Args:
            cells: Numbers, or dates in ISO 8601, of successive rows.
        """
        return self.read_numbers(np.array([*map(_parse_time, cells)], np.float64))

    def read_numbers(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the times of rows in seconds; NaN where there is no finite number.

        Args:
            numbers: The cells of successive rows, shape (R,); NaN where there is none.
        """
        times = np.where(numbers > _SECONDS_MAX, numbers / 1000, numbers) * self._unit
        known = np.isfinite(times)
        if self.is_duration:
            sums = np.add.accumulate([self.total, *np.maximum(0.0, times[known])])
            times[known], self.total = sums[1:], float(sums[-1])
        times[~known] = np.nan
        return times


def _unit_seconds(unit: str) -> float:
    return next(
        (seconds for begin, seconds in _UNIT_SECONDS.items() if unit.startswith(begin)), 1.0
    )


def _parse_time(cell: str) -> float | None:
    """Returns the number in a cell, or the seconds since 1970 of a date in ISO 8601."""
    try:
        return float(cell)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(cell.strip().replace("Z", "+00:00"))
        return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()
    except (ValueError, OverflowError):  # a date beyond the calendar
        return _parse_elapsed(cell)


def _parse_elapsed(cell: str) -> float | None:
    """Returns the seconds in "1d 2h 3m 4s", of ms-swift, or "1 day, 2:03:04"."""
    match = _ELAPSED.fullmatch(cell)
    if match is None:
        return None
    days, hours, minutes, seconds = (
        float(match[k] or match[k + 4] or 0) for k in range(1, 5)
    )
    return 86_400 * days + 3600 * hours + 60 * minutes + seconds
