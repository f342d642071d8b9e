"""Reads JSON lines: a line is an object with a step, and numbers, flat or nested."""

from __future__ import annotations

import re
from math import isnan
from typing import TYPE_CHECKING, Any

from gradsound.errors import RunFormatError
from gradsound.logs.clock import Clock
from gradsound.logs.names.step_names import (
    EPOCH_NAMES,
    STEP_NAMES,
    find_step_name,
    normalize_name,
)
from gradsound.logs.row import Row, parse_number
from gradsound.logs.scalars import make_scalars
from gradsound.logs.texts.console_form import find_norms
from gradsound.logs.texts.epoch_steps import EpochSteps
from gradsound.logs.texts.json_objects import decode_line, decode_lines, flatten
from gradsound.logs.texts.text_lines import read_text_lines
from gradsound.name_matching import list_some
from gradsound.runs.file_names import names_format
from gradsound.runs.json_lines import STEP_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore
    from gradsound.logs.texts.text_lines import TextLines

TOOL = "JSON lines"

_LISTED_MAX = 20  # names that an error message lists
_TEXT_WIDTH = 40  # characters of a name or a value in a report
_PART_OF = re.compile(r"\s*(\d+)\s*/\s*(\d+)\s*")  # "10/60": ms-swift
# JSON has no NaN. Encoders write null for it, but also for a value that is missing.
_NAN_AS_NULL = re.compile(
    r"(?!.*(?:eval|val|test)).*(?:norm|(?:^|[/._])loss)", re.IGNORECASE
)


def is_json_log(head: bytes, step: str | None = None) -> bool:
    """Returns whether a file with this beginning has a line with a step and a number.

    Args:
        head: The beginning of a file, in UTF-8.
        step: The name of the step. None finds it by its usual names.
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text.startswith(b"{") or names_format(text):
        return False
    for line in text.decode("utf-8", "replace").splitlines():
        entry = decode_line(line) if line.startswith("{") else None
        if entry is not None:
            flat = flatten(entry)
            name = _choose_step([flat], step)
            if name is not None and any(
                parse_number(value) is not None
                for key, value in flat.items()
                if key != name
            ):
                return True
    return False


def read(
    path: Path,
    on_damage: OnDamage,
    wait_for_more: WaitForMore = lambda: False,
    step: str | None = None,
) -> Iterator[Scalars | None]:
    """Yields the scalars of JSON lines; `scalars` says how.

    The names of nested objects are joined by `/`. Texts and lists are left out.

    Args:
        path: The log.
        on_damage: Called where a line is damaged.
        wait_for_more: Called at the end of what is there. It returns whether to read on.
        step: The name of the step. None finds it by its usual names.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If no entry has the step that a user named.
    """
    entries = _Entries(on_damage, step)
    for lines in read_text_lines(path, wait_for_more):
        if lines is None:
            yield None
        elif rows := entries.read(lines):
            yield make_scalars(rows)
    entries.finish()


class _Entries:
    """Converts lines to rows.

    Args:
        on_damage: Called where a line is damaged.
        step: The name of the step, if a user named it.
    """

    def __init__(self, on_damage: OnDamage, step: str | None) -> None:
        self._on_damage, self._wanted = on_damage, step
        self._step: str | None = None
        self._is_settled = False  # whether an entry with a norm has the step
        self._names: dict[str, None] = {}  # of entries that came before the step
        self._clock, self._clock_name = Clock([]), ""
        self._epochs = EpochSteps()

    def read(self, lines: TextLines) -> list[Row]:
        """Returns the rows of some lines."""
        entries = [flatten(entry) for entry in self._decode(lines)]
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

    def _decode(self, lines: TextLines) -> list[dict[str, Any]]:
        """Returns the objects in lines; reports lines without one."""
        if not lines.torn and (decoded := decode_lines(lines.lines)) is not None:
            return decoded
        found = []
        for number, line in enumerate(lines.lines, lines.first):
            entry = decode_line(line)
            if entry is not None:
                found.append(entry)
            elif line.strip():
                is_torn = lines.torn and line is lines.lines[-1]
                state = "is torn" if is_torn else "is no JSON object"
                self._on_damage(f"line {number:,} {state}, left out")
        return found

    def _to_row(self, entry: dict[str, Any], time: float | None) -> Row:
        logged = entry.pop(self._step or "", None)
        step, total = _parse_step(logged)
        numbers = _to_numbers(entry)
        if len(numbers) < len(entry):
            self._report_unread_norms(entry, numbers, logged)
        if step is not None and self._step not in EPOCH_NAMES:
            epoch = next((numbers[name] for name in EPOCH_NAMES if name in numbers), None)
            if epoch is not None and 0 <= epoch <= STEP_MAX:
                step = self._epochs.count(step, epoch, total)
        return Row(step, time, numbers)

    def _report_unread_norms(
        self, entry: Mapping[str, Any], numbers: Mapping[str, float], step: object
    ) -> None:
        """Reports the norms of an entry that are texts and no numbers."""
        for name, value in entry.items():
            if name not in numbers and isinstance(value, str) and find_norms((name,)):
                what = f"{name[:_TEXT_WIDTH]!r} is {value[:_TEXT_WIDTH]!r}"
                self._on_damage(f"{what} at step {step!r}, left out")

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


def _choose_step(entries: Sequence[Mapping[str, Any]], wanted: str | None) -> str | None:
    """Returns the best name of a step in some entries; None if no entry has one."""
    names: dict[str, None] = {}
    for entry in entries:
        for name, value in entry.items():
            if name not in names and _parse_step(value)[0] is not None:
                names[name] = None
    found = find_step_name(names, wanted)
    if found is not None or wanted is not None:
        return found
    by_last_part = {
        normalize_name(name).rpartition("/")[2]: name for name in reversed(names)
    }
    return next((by_last_part[n] for n in STEP_NAMES if n in by_last_part), None)


def _parse_step(value: object) -> tuple[float | None, float | None]:
    """Returns the step in a value such as 10 or "10/60", and the last step."""
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
