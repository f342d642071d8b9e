"""Reads CSV with a column of steps, such as `metrics.csv` of Lightning's CSVLogger."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError
from gradsound.logs.clock import Clock
from gradsound.logs.encoding import open_text
from gradsound.logs.row import ENTRY_MAX, Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

    from gradsound.logs.row import OnDamage

FILE_NAME = "metrics.csv"

_DELIMITERS = (",", ";", "\t")
_PREAMBLE_MAX = 10  # lines before the header: blank, a comment, sep=;
# The first of these names that a header has wins. Spelled as `_normalize` returns them.
_STEP_COLUMNS = (
    *("global_step", "train/global_step", "trainer/global_step", "step", "_step"),
    *("steps", "train_step", "iteration", "iterations", "iter", "num_updates", "update"),
)


def is_table(head: bytes) -> bool:
    """Returns whether a file with this beginning, in UTF-8, has a header with steps."""
    try:
        _read_header(io.StringIO(head.decode("utf-8-sig", "replace"), newline=None))
    except RunFormatError:
        return False
    return True


def read_rows(path: Path, on_damage: OnDamage) -> Iterator[Row]:
    """Yields the rows of a table.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If it has no header with a column of steps.
    """
    with open_text(path) as file:
        header_number, delimiter, names = _read_header(file)
        columns = _find_columns(names)
        lines = _read_lines(file, header_number, delimiter, len(names), on_damage)
        for number, cells in lines:
            row = _parse_row(cells, columns)
            if row.step is None:
                on_damage(f"line {number:,} has no step, left out")
            else:
                yield row


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of a table.

    Attributes:
        step: Index of the column of steps.
        clock: The column of times.
        values: Indices and names of the other columns.
    """

    step: int
    clock: Clock
    values: list[tuple[int, str]]


def _find_columns(names: list[str]) -> _Columns:
    normalized = [*map(_normalize, names)]
    step = next(normalized.index(name) for name in _STEP_COLUMNS if name in normalized)
    clock = Clock(normalized)
    values = [
        (column, name)
        for column, name in enumerate(names)
        if column not in (step, clock.column) and name
    ]
    return _Columns(step, clock, values)


def _parse_row(cells: list[str], columns: _Columns) -> Row:
    count = len(cells)
    values = {}
    for column, name in columns.values[:count]:  # bounds the time of short lines
        if column < count and (value := _parse_number(cells[column])) is not None:
            values[name] = value
    step = _parse_number(cells[columns.step]) if columns.step < count else None
    time, clock = None, columns.clock
    if clock.column is not None and clock.column < count:
        time = clock.seconds(cells[clock.column])
    return Row(step, time, values)


def _read_header(file: TextIO) -> tuple[int, str, list[str]]:
    """Reads up to the header; returns its line number, its delimiter and its columns."""
    first = ""
    for number in range(1, _PREAMBLE_MAX + 2):
        line = file.readline(ENTRY_MAX)
        if (header := _parse_header(line)) is not None:
            return number, *header
        first = first or line.strip()
    steps, got = ", ".join(_STEP_COLUMNS), repr(first[:80]) if first else "blank lines"
    raise RunFormatError(
        "expected a header, split by comma, semicolon or tab, that has a column of steps "
        f"({steps}), got {got}"
    )


def _read_lines(
    file: TextIO, number: int, delimiter: str, width: int, on_damage: OnDamage
) -> Iterator[tuple[int, list[str]]]:
    """Yields the number and the cells of each line after line ``number``."""
    while line := file.readline(ENTRY_MAX):
        number += 1
        if not line.endswith("\n") and len(line) == ENTRY_MAX:
            on_damage(f"line {number:,} is longer than any, and ends it")
            return
        if not line.strip():
            continue
        cells = _split(line.rstrip("\n"), delimiter)
        if not line.endswith("\n") and len(cells) < width:
            on_damage(f"line {number:,} is torn, left out")
            return
        yield number, cells


def _parse_header(line: str) -> tuple[str, list[str]] | None:
    """Returns the delimiter with the most columns, and these; None without steps."""
    best = None
    if "\0" in line:
        return None
    for delimiter in _DELIMITERS:
        names = [name.strip() for name in _split(line, delimiter)]
        if {*map(_normalize, names)}.isdisjoint(_STEP_COLUMNS) or len(names) == 1:
            continue
        if best is None or len(names) > len(best[1]):
            best = delimiter, names
    return best


def _split(text: str, delimiter: str) -> list[str]:
    if delimiter != ",":  # from a country that writes 0,5
        text = text.replace(",", ".")
    if '"' not in text:
        return text.split(delimiter)
    try:  # a single line, so that an unclosed quote does not swallow the next ones
        return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        return text.split(delimiter)


def _normalize(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def _parse_number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
