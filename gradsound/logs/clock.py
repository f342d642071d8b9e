"""The clock of a table: a column of dates, of seconds since the start, or of durations."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from math import isfinite

# The first of these names that a table has wins, before all others.
_USUAL_NAMES = (
    *("wall_time", "_timestamp", "timestamp", "datetime", "_runtime", "runtime"),
    *("elapsed", "elapsed_time", "relative_time_(process)", "time"),
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
_UNIT_SECONDS = {"ms": 1e-3, "mi": 60.0, "h": 3600.0}  # by the first letters
_SECONDS_MAX = 1e11  # seconds since 1970, the year 5138; a larger time is in milliseconds


class Clock:
    """Converts one column of a table to the times of its rows.

    Args:
        names: Names of the columns, in lower case, with underscores for spaces.

    Attributes:
        column: Index of the column; None if the table has no clock.
    """

    def __init__(self, names: list[str]) -> None:
        self.column: int | None = None
        self._unit, self._is_duration, self._sum = 1.0, False, 0.0  # seconds
        for name in _USUAL_NAMES:
            if name in names:
                self.column = names.index(name)
                return
        for pattern in (_TIME, _DURATION):
            for column, name in enumerate(names):
                if match := pattern.fullmatch(name):
                    self.column, self._is_duration = column, pattern is _DURATION
                    self._unit = _unit_seconds(match["unit"] or "s")
                    return

    def seconds(self, cell: str) -> float | None:
        """Returns the time of a row in seconds; None if the cell has none.

        Args:
            cell: A number, or a date in ISO 8601.
        """
        time = _parse_time(cell)
        if time is None or not isfinite(time):
            return None
        if self._is_duration:
            self._sum += max(0.0, self._unit * time)
            return self._sum
        return self._unit * time


def _unit_seconds(unit: str) -> float:
    return next(
        (seconds for begin, seconds in _UNIT_SECONDS.items() if unit.startswith(begin)), 1.0
    )


def _parse_time(cell: str) -> float | None:
    """Returns seconds; the cell has seconds, milliseconds or an ISO 8601 date."""
    try:
        seconds = float(cell)
    except ValueError:
        pass
    else:
        return seconds / 1000 if seconds > _SECONDS_MAX else seconds
    try:
        moment = datetime.fromisoformat(cell.strip())
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()
