"""The header of a table: its delimiter, and which column has steps, times and names."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from gradsound.errors import RunFormatError
from gradsound.logs.clock import Clock
from gradsound.logs.names.step_names import find_step_name, normalize_name
from gradsound.name_matching import list_some

_DELIMITERS = (",", ";", "\t")
_LISTED_MAX = 20  # columns that an error message lists; more are hard to read
_NAME_WIDTH = 80  # characters of each of them
# Columns or keys of a log with one value a row, as MLflow's page and databases export it.
KEYS = ("key", "metric", "metric_name", "metric_key", "tag", "name", "variable")
VALUES = ("value", "metric_value")
RUNS = ("run_id", "run_uuid", "run", "run_name", "experiment", "experiment_id")
_TENSORBOARD = ["wall_time", "step", "value"]  # of a table that its page exports


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a table.

    Attributes:
        delimiter: The character between two cells.
        width: How many columns there are.
        step: Index of the column of steps.
        clock: The column of times.
        values: Indices and names of the columns of values.
        key: Index of the column that names the value of its row; None in most tables.
        run: Index of the column that names the run of its row; None in most tables.
    """

    delimiter: str
    width: int
    step: int
    clock: Clock
    values: list[tuple[int, str]]
    key: int | None = None
    run: int | None = None


def parse_header(line: str, step: str | None = None, only_value: str = "") -> Header | None:
    """Returns the header in a line, with the delimiter that gives the most columns.

    Args:
        line: A line.
        step: The column of steps. None finds it by its name.
        only_value: The name of the value in a table that TensorBoard's page exports, whose
            file alone has its name.

    Returns:
        The header; None if the line has no column of steps, or no other one.
    """
    line = line.removeprefix("#")  # of numpy's savetxt
    best: tuple[str, list[str], int] | None = None
    for delimiter in _DELIMITERS if "\0" not in line else ():
        names = [name.strip() for name in split_line(line, delimiter)]
        found = find_step_name(names, step)
        if found is None or len(names) == 1:
            continue
        if best is None or len(names) > len(best[1]):
            best = delimiter, names, names.index(found)
    return _make_header(*best, only_value) if best else None


def split_line(text: str, delimiter: str) -> list[str]:
    """Returns the cells of a line."""
    if delimiter != ",":  # from a country that writes 0,5
        text = text.replace(",", ".")
    if '"' not in text:
        return text.split(delimiter)
    try:  # a single line, so that an unclosed quote does not swallow the next ones
        return next(csv.reader([text], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return text.split(delimiter)


def refuse_table(first: str, step: str | None) -> RunFormatError:
    """Returns the error of a table without a header.

    Args:
        first: Its first line that is not blank.
        step: The column of steps that a user named, if so.
    """
    if step is not None and (names := _most_names(first)):
        listed = list_some([name[:_NAME_WIDTH] for name in names], _LISTED_MAX)
        return RunFormatError(f"has no column {step!r} for --step; there are: {listed}")
    got = "blank lines" if not first else repr(first[:_NAME_WIDTH])
    if not first.isprintable():
        got = "bytes that are no text"
    return RunFormatError(
        "expected a header, split by comma, semicolon or tab, that has a column of steps "
        "(step, global_step, iteration, epoch ...; name another with --step COLUMN), got "
        f"{got}"
    )


def _most_names(line: str) -> list[str]:
    """Returns the names in a line without control characters; none if it has only one."""
    names = max((split_line(line, delimiter) for delimiter in _DELIMITERS), key=len)
    names = [name.strip() for name in names if name.strip().isprintable()]
    return names if len(names) > 1 else []


def _make_header(delimiter: str, names: list[str], step: int, only_value: str) -> Header:
    plain = [*map(normalize_name, names)]
    clock = Clock(plain)
    key = next((plain.index(name) for name in KEYS if name in plain), None)
    value = next((plain.index(name) for name in VALUES if name in plain), None)
    if key is not None and value is not None and key != step:
        run = next((plain.index(name) for name in RUNS if name in plain), None)
        if run == key:
            run = None
        return Header(delimiter, len(names), step, clock, [(value, "")], key, run)
    values = [
        (column, name)
        for column, name in enumerate(names)
        if column not in (step, clock.column) and name
    ]
    if plain == _TENSORBOARD and only_value:
        values = [(2, only_value)]
    return Header(delimiter, len(names), step, clock, values)
