"""Entries of a log that have names, such as the objects of JSON lines, as rows."""

from __future__ import annotations

import re
from math import isnan
from typing import TYPE_CHECKING, Any

from gradsound.errors import RunFormatError
from gradsound.logs.clock import Clock
from gradsound.logs.names.step_names import (
    STEP_NAMES,
    find_step_name,
    normalize_name,
)
from gradsound.logs.names.unread_norms import report_unread
from gradsound.logs.nested_values import flatten
from gradsound.logs.numbers import parse_number
from gradsound.logs.row import Row
from gradsound.logs.tables.long_table import check_runs
from gradsound.logs.tables.table_header import KEYS, RUNS, VALUES
from gradsound.logs.texts.console_step import find_norms
from gradsound.logs.texts.epoch_steps import EpochSteps
from gradsound.name_matching import list_some
from gradsound.runs.step_line import STEP_MAX
from gradsound.runs.value_roles import EPOCH_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gradsound.logs.row import OnDamage

_LISTED_MAX = 20  # names that an error message lists
_PART_OF = re.compile(r"\s*(\d+)\s*/\s*(\d+)\s*")  # "10/60": ms-swift
# JSON has no NaN. Encoders write null for it, but also for a value that is missing.
_NAN_AS_NULL = re.compile(
    r"(?!.*(?:eval|val|test)).*(?:norm|(?:^|[/._])loss)", re.IGNORECASE
)


class NamedEntries:
    """Converts entries to rows; names of nested objects are joined by `/`.

    Args:
        on_damage: Called for norms that are no numbers.
        step: The name of the step, if a user named it.
    """

    def __init__(self, on_damage: OnDamage, step: str | None) -> None:
        self._on_damage, self._wanted = on_damage, step
        self._step: str | None = None
        self._is_settled = False  # whether an entry with a norm has the step
        self._names: dict[str, None] = {}  # of entries that came before the step
        self._clock, self._clock_name = Clock([]), ""
        self._epochs, self._runs = EpochSteps(), dict[str, None]()

    def read(self, logged: Iterable[Mapping[str, Any]]) -> list[Row]:
        """Returns the rows of the next entries.

        Raises:
            RunFormatError: If entries of one value each are of several runs.
        """
        entries = [self._to_entry(one) for one in logged]
        if not self._is_settled and entries:
            # Settings, and a summary at the end, may have a step of another name.
            with_norm = [entry for entry in entries if find_norms((*entry,))]
            chosen = _choose_step(with_norm, self._wanted)
            self._is_settled = chosen is not None
            self._step = chosen or _choose_step(entries, self._wanted) or self._step
            if self._step is None:
                self._names |= dict.fromkeys(name for entry in entries for name in entry)
                return []
        # An entry without a step is a configuration, or lacks the step of its norm.
        entries = [
            entry
            for entry in entries
            if self._step in entry or any(map(_NAN_AS_NULL.match, entry))
        ]
        times = self._take_times(entries)
        return [self._to_row(entry, time) for entry, time in zip(entries, times)]

    def finish(self) -> None:
        """Refuses a log without the step that a user named."""
        if self._wanted is not None and self._step is None and self._names:
            raise RunFormatError(
                f"has no whole numbers called {self._wanted!r} for --step; there are: "
                f"{list_some([*self._names], _LISTED_MAX)}"
            )

    def _to_entry(self, logged: Mapping[str, Any]) -> dict[str, Any]:
        """Returns an entry without nested objects, and with each value under its name."""
        entry = flatten(logged)
        if (key := find_key(entry)) is not None:
            run = next((entry[name] for name in RUNS if name in entry and name != key), "")
            check_runs(self._runs, [str(run)])
            return name_value(entry)
        return entry

    def _to_row(self, entry: dict[str, Any], time: float | None) -> Row:
        logged = entry.pop(self._step or "", None)
        step, total = parse_step(logged)
        numbers = _to_numbers(entry)
        if len(numbers) < len(entry):
            for name, value in entry.items():
                if name not in numbers:
                    report_unread(self._on_damage, name, value, logged)
        if step is not None and self._step not in EPOCH_NAMES:
            epoch = next((numbers[name] for name in EPOCH_NAMES if name in numbers), None)
            if epoch is not None and 0 <= epoch <= STEP_MAX:
                step = self._epochs.count(step, epoch, total)
        return Row(step, time, numbers)

    def _take_times(self, entries: Sequence[dict[str, Any]]) -> list[float | None]:
        """Removes the times from entries; returns them in seconds, None if unknown."""
        if not self._clock_name:
            names = [*dict.fromkeys(name for entry in entries for name in entry)]
            self._clock_name, self._clock = _find_clock(names)
        if not self._clock_name:
            return [None] * len(entries)
        cells = [str(entry.pop(self._clock_name, "")) for entry in entries]
        return [
            None if isnan(time) else time for time in self._clock.read_cells(cells).tolist()
        ]


def has_step(entry: Mapping[str, Any], wanted: str | None) -> bool:
    """Returns whether an entry has a step, and a number besides.

    Args:
        entry: An entry without nested objects.
        wanted: The name of the step. None finds it by its usual names.
    """
    step = _choose_step([entry], wanted)
    others = (value for name, value in entry.items() if name != step)
    return step is not None and any(parse_number(value) is not None for value in others)


def _choose_step(entries: Sequence[Mapping[str, Any]], wanted: str | None) -> str | None:
    """Returns the best name of a step in some entries; None if no entry has one."""
    names: dict[str, None] = {}
    for entry in entries:
        for name, value in entry.items():
            if name not in names and parse_step(value)[0] is not None:
                names[name] = None
    found = find_step_name(names, wanted)
    if found is not None or wanted is not None:
        return found
    by_last_part = {
        normalize_name(name).rpartition("/")[2]: name for name in reversed(names)
    }
    return next((by_last_part[n] for n in STEP_NAMES if n in by_last_part), None)


def parse_step(value: object) -> tuple[float | None, float | None]:
    """Returns the step in a value such as 10 or "10/60", and the last step.

    Each is None if the value does not have it.
    """
    if isinstance(value, str) and (match := _PART_OF.fullmatch(value)):
        return float(match[1]), float(match[2])
    number = parse_number(value)
    if number is None or not 0 <= number <= STEP_MAX or not number.is_integer():
        return None, None
    return number, None


def _to_numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    numbers = {}
    for name, value in entry.items():
        if type(value) is float:
            numbers[name] = value
        elif value is None:
            if _NAN_AS_NULL.match(name):
                numbers[name] = float("nan")
        elif (number := parse_number(value)) is not None:
            numbers[name] = number
    return numbers


def _find_clock(names: Sequence[str]) -> tuple[str, Clock]:
    """Returns the name of the time among names, and its clock; "" without one."""
    plain = [*map(normalize_name, names)]
    if "data_time" in plain:  # mmengine: "time" is that of a step, averaged over some
        return "", Clock([])
    for candidates in (plain, [name.rpartition("/")[2] for name in plain]):
        clock = Clock(candidates)
        if clock.column is not None:
            return names[clock.column], clock
    return "", clock


def name_value(entry: dict[str, Any]) -> dict[str, Any]:
    """Returns an entry with its value under its name, if it has these two.

    So {"name": "loss", "value": 0.5, "step": 1} becomes {"step": 1, "loss": 0.5}.

    Args:
        entry: An entry without nested objects.
    """
    key = find_key(entry)
    if key is None:
        return entry
    value = next(name for name in VALUES if name in entry)
    rest = {name: one for name, one in entry.items() if name not in (key, value)}
    return {**rest, entry[key]: entry[value]}


def find_key(entry: Mapping[str, Any]) -> str | None:
    """Returns what has the name of the only value of an entry; None in most logs."""
    if not any(name in entry for name in VALUES) or find_norms((*entry,)):
        return None
    return next((name for name in KEYS if isinstance(entry.get(name), str)), None)
