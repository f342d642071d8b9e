"""Rows of a table as arrays: many lines at once if they are regular, else line by line.

Shapes: R rows, K columns of values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import methodcaller
from typing import TYPE_CHECKING

import numpy as np

from gradsound.logs.numbers import parse_number
from gradsound.logs.scalars import Scalars
from gradsound.logs.tables.table_header import split_line

try:
    import orjson
except ImportError:  # an extra
    orjson = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.logs.tables.table_header import Header

_NUMERIC = b"0123456789+-.eE"  # of cells that JSON's decoder reads as Python's float does


@dataclass(frozen=True, slots=True, eq=False)
class TableRows:
    """Successive rows of a table.

    Attributes:
        names: The names of the values, length K.
        steps: The steps, shape (R,), float64; NaN where a cell is no number.
        has_step: Where the cell of the step is a number, NaN too, shape (R,), bool.
        times: Seconds on the table's clock, shape (R,), float64; NaN if unknown.
        values: The values, shape (R, K), float64.
        present: Which cells have a value, shape (R, K), bool.
        unreadable: Of each name, the first row whose cell has something and no number, and
            the cell.
    """

    names: list[str]
    steps: NDArray[np.float64]
    has_step: NDArray[np.bool_]
    times: NDArray[np.float64]
    values: NDArray[np.float64]
    present: NDArray[np.bool_]
    unreadable: dict[str, tuple[int, str]] = field(default_factory=dict)

    def take(self, rows: slice) -> TableRows:
        """Returns some of the rows."""
        return TableRows(
            self.names,
            self.steps[rows],
            self.has_step[rows],
            self.times[rows],
            self.values[rows],
            self.present[rows],
        )

    def scalars(self) -> Scalars:
        """Returns the values that are present in rows with a step, row by row."""
        present = (
            self.present if self.has_step.all() else (self.present & self.has_step[:, None])
        )
        if present.all():  # nearly always, and indices would take more time
            count, width = self.values.shape
            return Scalars(
                self.names,
                np.tile(np.arange(width), count),
                self.steps.repeat(width),
                self.times.repeat(width),
                self.values.ravel(),
            )
        rows, places = np.nonzero(present)
        values = self.values[present]
        return Scalars(self.names, places, self.steps[rows], self.times[rows], values)

    def values_of(self, row: int) -> dict[str, float]:
        """Returns the values of a row by name."""
        places = np.flatnonzero(self.present[row])
        return {self.names[k]: float(self.values[row, k]) for k in places.tolist()}


def parse_rows(lines: Sequence[str], header: Header) -> TableRows:
    """Returns the rows in some lines, each of which has something.

    A missing cell is an empty one; cells beyond the header are left out. Decoding many
    lines of numbers at once gives the same numbers as decoding each cell.
    """
    text, delimiter = "\n".join(lines), header.delimiter
    if delimiter != ",":  # from a country that writes 0,5
        text = text.replace(",", ".").replace(delimiter, ",")
    is_regular = '"' not in text and (
        {header.width - 1} == {*map(methodcaller("count", delimiter), lines)}
    )
    if is_regular:
        matrix = _decode_numbers(text.encode(), header.width)
        if matrix is not None:
            return _to_rows(matrix, header)
        cells = text.replace("\n", ",").split(",")
        columns = [cells[column :: header.width] for column in range(header.width)]
    else:
        columns = split_columns(lines, header)
    steps, has_step = _parse_column(columns[header.step])
    values, present = np.empty((2, len(lines), len(header.values)))
    unreadable = {}
    for place, (column, name) in enumerate(header.values):
        values[:, place], known = _parse_column(columns[column])
        present[:, place] = known
        for row in np.flatnonzero(~known).tolist():
            if columns[column][row].strip():
                unreadable[name] = row, columns[column][row]
                break
    clock, times = header.clock, np.full(len(lines), np.nan)
    if clock.column is not None:
        times = clock.read_cells(columns[clock.column])
    names = [name for _, name in header.values]
    return TableRows(names, steps, has_step, times, values, present > 0, unreadable)


def split_columns(lines: Sequence[str], header: Header) -> list[list[str]]:
    """Returns the cells of each column of a table, line by line."""
    width = header.width
    filling = [""] * width
    rows = [(split_line(line, header.delimiter) + filling)[:width] for line in lines]
    return [[*column] for column in zip(*rows)]


def _parse_column(cells: list[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Returns the numbers of a column, and which cells have one."""
    matrix = _decode_numbers(",".join(cells).encode(), 1)
    if matrix is not None and len(matrix) == len(cells):  # no cell has a comma
        return matrix[:, 0], ~np.isnan(matrix[:, 0])
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells)), np.ones(
            len(cells), bool
        )
    except ValueError:
        numbers = [parse_number(cell) if cell else None for cell in cells]
        known = [number is not None for number in numbers]
        return np.array(numbers, np.float64), np.array(known, bool)


def _decode_numbers(text: bytes, width: int) -> NDArray[np.float64] | None:
    """Returns the numbers of regular lines, shape (R, columns); empty cells are NaN.

    Returns:
        None if a cell has anything but digits, signs, points and exponents.
    """
    if orjson is None or text.translate(None, _NUMERIC + b",\n"):
        return None
    text = text.replace(b"\n", b",")
    if b",," in text or text.startswith(b",") or text.endswith(b","):
        # Twice, because of three commas the middle one ends a pair and begins another.
        text = (
            (b"," + text + b",").replace(b",,", b",null,").replace(b",,", b",null,")[1:-1]
        )
    try:
        numbers = orjson.loads(b"[" + text + b"]")
    except orjson.JSONDecodeError:  # +1, 1., .5 and such
        return None
    return np.array(numbers, np.float64).reshape(-1, width)


def _to_rows(matrix: NDArray[np.float64], header: Header) -> TableRows:
    """Returns the rows of numbers alone, in which NaN is an empty cell."""
    clock, columns = header.clock, [column for column, _ in header.values]
    known = ~np.isnan(matrix)
    no_time = np.full(len(matrix), np.nan)
    return TableRows(
        [name for _, name in header.values],
        matrix[:, header.step],
        known[:, header.step],
        no_time if clock.column is None else clock.read_numbers(matrix[:, clock.column]),
        matrix[:, columns],
        known[:, columns],
    )
