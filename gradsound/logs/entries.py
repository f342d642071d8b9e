"""Entries of a log that has each number alone, with its name, step and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.logs.scalars import Scalars

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    # Name, step, seconds on any clock, value; None is unknown.
    Entry: TypeAlias = tuple[str, float | None, float | None, float | None]


def make_scalars(entries: Sequence[Entry]) -> Scalars:
    """Returns the scalars of one or more entries; a value of None is NaN.

    Entries whose parts have other types are left out.
    """
    try:
        return _make_scalars(entries)
    except (TypeError, ValueError):  # of a damaged database
        return _make_scalars([entry for entry in entries if _is_entry(entry)])


def _make_scalars(entries: Sequence[Entry]) -> Scalars:
    names, steps, times, values = zip(*entries) if entries else ((),) * 4
    indices: dict[str, int] = {}
    places = [indices.setdefault(name, len(indices)) for name in names]
    return Scalars(
        [*indices],
        np.array(places, np.intp),
        np.array(steps, np.float64),  # None becomes NaN
        np.array(times, np.float64),
        np.array(values, np.float64),
    )


def _is_entry(entry: Entry) -> bool:
    name, *numbers = entry
    return isinstance(name, str) and all(
        number is None or isinstance(number, (int, float)) for number in numbers
    )
