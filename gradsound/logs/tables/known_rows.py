"""Rows of a table that were read before the table was written anew.

Shapes: R rows.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.logs.tables.table_rows import TableRows


class KnownRows:
    """Tells which rows and cells are new in a table that was written anew.

    A row is known if it and all rows before it have the same steps and values as before.
    Columns may have come, or changed places. So of another training, all rows are new.
    """

    def __init__(self) -> None:
        self._marks: list[NDArray[np.uint64]] = []
        self._last = dict[str, float]()
        self._at = 0  # rows of the table so far
        # Of the table before it was written anew: marks of its rows, values of the last.
        self._old = np.zeros(0, np.uint64)
        self._old_last = dict[str, float]()
        self._is_known = False  # whether all rows so far are known

    def rewind(self) -> None:
        """Begins a table that was written anew."""
        if not self._is_known:  # else the table became shorter, and may grow again
            self._old, self._old_last = (
                np.concatenate([self._old[:0], *self._marks]),
                self._last,
            )
        self._marks, self._at, self._is_known = [], 0, len(self._old) > 0

    def take_new(self, rows: TableRows) -> TableRows:
        """Returns those of the next rows that are new, without known cells of the last."""
        count, at = len(rows.steps), self._at
        if not count:
            return rows
        marks = _mark(rows)
        self._marks.append(marks)
        self._at, self._last = at + count, rows.values_of(-1)
        if not self._is_known:
            return rows
        old = self._old[at : at + count]
        differs = np.flatnonzero(marks[: len(old)] != old)
        known = int(differs[0]) if len(differs) else len(old)
        if known == count:
            return rows.take(slice(count, count))
        self._is_known = False
        new = rows.take(slice(known, count))
        if at + known == len(self._old) - 1:
            for place, name in enumerate(new.names):
                if _is_same(float(new.values[0, place]), self._old_last.get(name)):
                    new.present[0, place] = False
        return new


def _mark(rows: TableRows) -> NDArray[np.uint64]:
    """Returns a checksum of each row, which no order of the columns changes, shape (R,)."""
    values = np.where(rows.present, rows.values, 0.0).view(np.uint64)
    steps = np.ascontiguousarray(rows.steps).view(np.uint64)
    marks: NDArray[np.uint64] = np.bitwise_xor.reduce(values, axis=1) ^ steps
    return marks


def _is_same(number: float, known: float | None) -> bool:
    return number == known or (known is not None and isnan(known) and isnan(number))
