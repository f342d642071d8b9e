"""Row: one entry of another tool's log, the form into which every log reader converts."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # A reader calls it with a few words when a log is damaged: what and where.
    OnDamage = Callable[[str], None]

ENTRY_MAX = 1 << 22  # bytes of a line, an entry or a record; no metrics are longer

_NONFINITE = {
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
        step: The step as logged; valid is a whole number of 0 or more. None if the entry
            has none.
        time: Seconds on any clock; None if unknown.
        values: Logged values by name; NaN and infinities are kept.
    """

    step: float | None
    time: float | None
    values: Mapping[str, float]


def parse_number(value: object) -> float | None:
    """Returns a JSON value as a number, or None if it is no number.

    A text may be NaN or an infinity.

    Args:
        value: A value from a ``JSONDecoder(parse_int=float)``. Such a decoder reads a whole
            number of any length, which the int of Python refuses from 4,300 digits on.
    """
    if isinstance(value, float):
        return value
    return _NONFINITE.get(value.lower()) if isinstance(value, str) else None
