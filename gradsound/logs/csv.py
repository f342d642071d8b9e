"""CSV with a column of steps, such as `metrics.csv` of Lightning's CSVLogger."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError
from gradsound.logs.encoding import open_text
from gradsound.logs.row import LONGEST, Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

    from gradsound.logs.row import Trouble

NAME = "metrics.csv"
_DELIMITERS = (",", ";", "\t")
_BEFORE = 10  # lines that may come before the header: blank, a comment, sep=;
# The first of these that there is; written as `_plain` has it.
_STEPS = (
    *("global_step", "train/global_step", "trainer/global_step", "step", "_step"),
    *("steps", "train_step", "iteration", "iterations", "iter", "num_updates", "update"),
)
_TIMES = (
    *("wall_time", "_timestamp", "timestamp", "datetime", "_runtime", "runtime"),
    *("elapsed", "elapsed_time", "relative_time_(process)", "time"),
)
_MS = 1e11  # seconds since 1970 are fewer; what is above is milliseconds


def is_table(head: bytes) -> bool:
    """Whether a file that begins so, in UTF-8, has a header with a column of steps."""
    try:
        _begin(io.StringIO(head.decode("utf-8-sig", "replace"), newline=None))
    except RunFormatError:
        return False
    return True


def rows(path: Path, trouble: Trouble) -> Iterator[Row]:
    """Yields the lines after the header.

    Raises:
        OSError: If it cannot be read.
        RunFormatError: If there is no header with a column of steps.
    """
    with open_text(path) as file:
        before, delimiter, names = _begin(file)
        plain = [*map(_plain, names)]
        step = next(plain.index(name) for name in _STEPS if name in plain)
        time = next((plain.index(name) for name in _TIMES if name in plain), None)
        others = [
            (column, name)
            for column, name in enumerate(names)
            if column not in (step, time) and name
        ]
        for number, cells in _lines(file, before, delimiter, len(names), trouble):
            numbers = {}
            for column, name in others[: len(cells)]:
                if column < len(cells) and (value := _number(cells[column])) is not None:
                    numbers[name] = value
            where = _number(cells[step]) if step < len(cells) else None
            if where is None:
                trouble(f"line {number:,} has no step, left out")
                continue
            when = None if time is None or time >= len(cells) else _time(cells[time])
            yield Row(where, when, numbers)


def _begin(file: TextIO) -> tuple[int, str, list[str]]:
    """Takes the header: how many lines these are, what is between cells, the columns."""
    first = ""
    for number in range(1, _BEFORE + 2):
        line = file.readline(LONGEST)
        if (found := _header(line)) is not None:
            return number, *found
        first = first or line.strip()
    steps, got = ", ".join(_STEPS), repr(first[:80]) if first else "blank lines"
    raise RunFormatError(
        "expected a header, split by comma, semicolon or tab, that has a column of steps "
        f"({steps}), got {got}"
    )


def _lines(
    file: TextIO, number: int, delimiter: str, width: int, trouble: Trouble
) -> Iterator[tuple[int, list[str]]]:
    while line := file.readline(LONGEST):
        number += 1
        if not line.endswith("\n") and len(line) == LONGEST:
            trouble(f"line {number:,} is longer than any, and ends it")
            return
        if not line.strip():
            continue
        cells = _split(line.rstrip("\n"), delimiter)
        if not line.endswith("\n") and len(cells) < width:
            trouble(f"line {number:,} is torn, left out")
            return
        yield number, cells


def _header(line: str) -> tuple[str, list[str]] | None:
    """What is between the cells, and the names of columns, if one is that of steps."""
    best = None
    if "\0" in line:
        return None
    for delimiter in _DELIMITERS:
        names = [name.strip() for name in _split(line, delimiter)]
        if {*map(_plain, names)}.isdisjoint(_STEPS) or len(names) == 1:
            continue
        if best is None or len(names) > len(best[1]):
            best = delimiter, names
    return best


def _split(text: str, delimiter: str) -> list[str]:
    if delimiter != ",":  # of a country that writes 0,5
        text = text.replace(",", ".")
    if '"' not in text:
        return text.split(delimiter)
    try:  # one line at a time: a quote that is not closed swallows no more than that
        return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        return text.split(delimiter)


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _time(cell: str) -> float | None:
    seconds = _number(cell)
    if seconds is not None:
        return seconds / 1000 if seconds > _MS else seconds
    try:
        when = datetime.fromisoformat(cell.strip())
    except ValueError:
        return None
    try:
        return when.replace(tzinfo=when.tzinfo or timezone.utc).timestamp()
    except (OverflowError, ValueError):
        return None
