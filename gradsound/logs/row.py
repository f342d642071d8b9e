"""What every log is read into: plain rows, each a step and numbers by name."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # Called with a few words when a log is damaged: what was found, and where. What can be
    # read goes on, or ends, as the reader sees fit.
    Trouble = Callable[[str], None]

LONGEST = 1 << 22  # bytes of a line, an entry or a record; longer ones are no metrics
_NOT_FINITE = {
    "nan": nan,
    "inf": inf,
    "+inf": inf,
    "-inf": -inf,
    "infinity": inf,
    "+infinity": inf,
    "-infinity": -inf,
}


class Row(NamedTuple):
    """An entry of a log.

    Attributes:
        step: Its step, as the log has it: a whole number of 0 or more is expected; None if
            there is none.
        time: Seconds on some clock, which one does not matter; None if it is not known.
        numbers: What was logged, by name; NaN and infinities are kept.
    """

    step: float | None
    time: float | None
    numbers: Mapping[str, float]


def number(value: object) -> float | None:
    """The number that a value of JSON is, or None; NaN and infinities may be texts."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return value
    if isinstance(value, int):
        try:
            return float(value)
        except OverflowError:
            return inf if value > 0 else -inf
    return _NOT_FINITE.get(value.lower()) if isinstance(value, str) else None
