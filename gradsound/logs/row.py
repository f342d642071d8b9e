"""Row: one entry of another tool's log."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # A reader calls it with a few words when a log is damaged: what and where.
    OnDamage = Callable[[str], None]

ENTRY_MAX = 1 << 22  # bytes of a line, an entry or a record; no metrics are longer


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
