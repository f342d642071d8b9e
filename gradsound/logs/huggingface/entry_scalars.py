"""Entries of a log as JSON objects without nested ones, converted to scalars at once."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.logs.names.unread_norms import report_unread
from gradsound.logs.numbers import parse_number
from gradsound.logs.scalars import Scalars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.logs.row import OnDamage


def convert_entries(
    entries: Sequence[dict[str, Any]], step: str, on_damage: OnDamage
) -> Scalars:
    """Returns the numbers in some entries.

    Args:
        entries: The entries.
        step: The key of the step.
        on_damage: Called for each norm that is no number; null tells nothing about it.
    """
    indices: dict[str, int] = {step: 0}
    forms: dict[tuple[str, ...], NDArray[np.intp]] = {}  # most entries have the same keys
    for form in dict.fromkeys(map(tuple, entries)):
        forms[form] = np.array(
            [indices.setdefault(name, len(indices)) for name in form], np.intp
        )
    places = np.concatenate(
        [np.zeros(0, np.intp), *(forms[tuple(entry)] for entry in entries)]
    )
    rows = np.repeat(np.arange(len(entries)), [*map(len, entries)])
    logged = [*chain.from_iterable(map(dict.values, entries))]
    known = np.ones(len(logged), bool)
    if not {*map(type, logged)} <= {int, float}:
        logged = [*map(parse_number, logged)]
        known = np.array([number is not None for number in logged], bool)
        _report_unread_norms(entries, step, on_damage)
    values = np.array(logged, np.float64)
    steps = np.full(len(entries), np.nan)
    is_step = known & (places == 0)
    steps[rows[is_step]] = values[is_step]
    kept = known & (places > 0)
    rows = rows[kept]
    times = np.full(len(rows), np.nan)
    return Scalars([*indices][1:], places[kept] - 1, steps[rows], times, values[kept])


def _report_unread_norms(
    entries: Sequence[dict[str, Any]], step: str, on_damage: OnDamage
) -> None:
    for entry in entries:
        for name, value in entry.items():
            if parse_number(value) is None:
                report_unread(on_damage, name, value, entry.get(step))
