"""Entries of a log that has each number alone, with its name, step and time."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING

import numpy as np

from gradsound.logs.names.unread_norms import report_unread
from gradsound.logs.numbers import parse_number
from gradsound.logs.scalars import Scalars

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from gradsound.logs.row import OnDamage

    # Name, step, seconds on any clock, value; a step or a time of None is unknown.
    Entry: TypeAlias = tuple[str, float | None, float | None, object]

_NUMBERS = {int, float}


def make_scalars(entries: Sequence[Entry], on_damage: OnDamage) -> Scalars:
    """Returns the scalars of entries; reports norms that are no numbers.

    Entries whose name is no text, as in a damaged database, are left out.
    """
    if not _are_usual(entries):
        entries = [*_read_unusual(entries, on_damage)]
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


def _are_usual(entries: Sequence[Entry]) -> bool:
    """Returns whether all names are texts and all values are numbers."""
    names, steps, times, values = ({*map(type, column)} for column in zip(*entries))
    unknown = _NUMBERS | {NoneType}
    return names == {str} and steps | times <= unknown and values <= _NUMBERS


def _read_unusual(entries: Sequence[Entry], on_damage: OnDamage) -> Iterator[Entry]:
    for name, step, time, value in entries:
        if not isinstance(name, str):
            continue
        number = parse_number(value)
        if number is None:
            report_unread(on_damage, name, value, step)
        else:
            yield name, parse_number(step), parse_number(time), number
