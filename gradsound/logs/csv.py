"""CSV with a column of steps, such as `metrics.csv` of Lightning's CSVLogger."""

from __future__ import annotations

import csv
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError
from gradsound.logs.row import LONGEST, Row

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.row import Trouble

NAME = "metrics.csv"
_DELIMITERS = (",", ";", "\t")
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
    """Whether a file that begins so has a header with a column of steps."""
    line = head.split(b"\n", 1)[0]
    return b"\0" not in line and _header(line) is not None


def rows(path: Path, trouble: Trouble) -> Iterator[Row]:
    """Yields the lines after the first.

    Raises:
        OSError: If it cannot be read.
        RunFormatError: If the first is no header with a column of steps.
    """
    with path.open("rb") as file:
        first = file.readline(LONGEST)
        found = _header(first)
        if found is None:
            steps, got = ", ".join(_STEPS), _text(first)[:80]
            raise RunFormatError(f"expected a column of steps ({steps}), got {got!r}")
        delimiter, names = found
        plain = [*map(_plain, names)]
        step = next(plain.index(name) for name in _STEPS if name in plain)
        time = next((plain.index(name) for name in _TIMES if name in plain), None)
        others = [
            (column, name)
            for column, name in enumerate(names)
            if column not in (step, time) and name
        ]
        for number, cells in _lines(file, delimiter, len(names), trouble):
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


def _lines(
    file: io.BufferedReader, delimiter: str, width: int, trouble: Trouble
) -> Iterator[tuple[int, list[str]]]:
    number = 1
    while line := file.readline(LONGEST):
        number += 1
        if not line.endswith(b"\n") and len(line) == LONGEST:
            trouble(f"line {number:,} is longer than any, and ends it")
            return
        if not line.strip():
            continue
        cells = _split(_text(line), delimiter)
        if not line.endswith(b"\n") and len(cells) < width:
            trouble(f"line {number:,} is torn, left out")
            return
        yield number, cells


def _header(line: bytes) -> tuple[str, list[str]] | None:
    """What is between the cells, and the names of columns, if one is that of steps."""
    text, best = _text(line).lstrip("\ufeff"), None
    for delimiter in _DELIMITERS:
        names = [name.strip() for name in _split(text, delimiter)]
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


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")


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
