"""Rows of tables that trainings print, and boxes that have a name and a value a line.

| step | grad_norm |        step  loss  grad_norm        | train/        |     |
| ---- | --------- |           1   2.0        0.5        |    grad_norm  | 0.5 |
| 1    | 0.5       |                                     |    n_updates  | 1   |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradsound.logs.names.step_names import find_step_name
from gradsound.logs.numbers import parse_number
from gradsound.logs.texts.console_step import find_norms, may_have_norm
from gradsound.logs.texts.line_prefix import COLOURS, text_start
from gradsound.logs.texts.named_entries import parse_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.logs.row import OnDamage
    from gradsound.logs.texts.text_lines import TextLines

_LINE_MAX = 1 << 16  # characters; a longer line is no row
_RULE = re.compile(r"[\s|+:=\-\u2500-\u257f]{3,}")
_BARS = str.maketrans("│┃║", "|||")  # of rich and others
_WIDE = re.compile(r"\s{2,}")  # between names of several words
_ITEM = re.compile(r"[^|]*\|(?P<indent> *)(?P<name>[^|]*[^|\s]) *\|(?P<value>[^|]*)\|\s*")


@dataclass(frozen=True, slots=True)
class _Header:
    """The header of a table.

    Attributes:
        names: The names of the columns; "" for that of an index.
        step: The place of the column of steps.
        norms: The places of the columns of norms.
        has_bars: Whether bars split the columns, else spaces.
    """

    names: list[str]
    step: int
    norms: list[int]
    has_bars: bool


class PrintedRows:
    """Finds rows and boxes among other lines.

    Args:
        step: The column of steps, if a user named it.
        on_damage: Called for each row that lacks cells, or has too many.
    """

    def __init__(self, step: str | None, on_damage: OnDamage = lambda _: None) -> None:
        self._wanted, self._on_damage = step, on_damage
        self._header: _Header | None = None
        self._is_certain = False  # whether a row followed the header
        self._box: dict[str, str] = {}
        self._group = "", 0  # the name before those of a box, and how far it is indented

    def read(self, lines: TextLines) -> list[dict[str, str]]:
        """Returns the cells of rows, and the values of boxes, by name."""
        entries = []
        for number, printed in enumerate(lines.lines, lines.first):
            if len(printed) > _LINE_MAX:
                continue
            line = COLOURS.sub("", printed).translate(_BARS).rstrip()
            if not line or _RULE.fullmatch(line):
                entries += self.finish_box()
                continue
            if header := self._find_header(line):
                self._header, self._is_certain = header, False
            elif row := self._header and self._read_row(self._header, line, number):
                self._is_certain = True
                entries.append(row)
            elif (item := _ITEM.fullmatch(line)) and parse_number(item["name"]) is None:
                self._add_item(item)
                continue
            elif self._header and not (self._is_certain or self._header.has_bars):
                self._header = None  # prose
            entries += self.finish_box()
        return entries

    def finish_box(self) -> list[dict[str, str]]:
        """Returns the box in progress if it has a norm, else nothing."""
        box, self._box, self._group = self._box, {}, ("", 0)
        return [box] if find_norms((*box,)) else []

    def _add_item(self, item: re.Match[str]) -> None:
        """Adds a line of a box; Stable-Baselines3 indents names below that of a group."""
        name, value, indent = item["name"], item["value"].strip(), len(item["indent"])
        group, group_indent = self._group
        if not value and name.endswith("/"):
            self._group = name, indent
        elif value:
            self._box[f"{group}{name}" if indent > group_indent else name] = value

    def _find_header(self, line: str) -> _Header | None:
        """Returns the header in a line of names, of which one is a step and one a norm."""
        if not may_have_norm(line):
            return None
        has_bars = "|" in line
        for cells in (
            [_split_bars(line)] if has_bars else [_WIDE.split(line.strip()), line.split()]
        ):
            names = [cell for cell in cells if cell]
            step, norms = find_step_name(names, self._wanted), find_norms((*names,))
            if step is None or not norms or len({*names}) < len(names):
                continue
            if any(parse_number(name) is not None for name in names):
                continue
            places = [cells.index(name) for name in norms]
            return _Header(cells, cells.index(step), places, has_bars)
        return None

    def _read_row(self, header: _Header, line: str, number: int) -> dict[str, str]:
        """Returns the cells of a row by their names; none of any other line."""
        width = len(header.names)
        if header.has_bars:
            cells = _split_bars(line)
        else:
            cells = line.split()
            if len(cells) == width + 1 and cells[0].isdecimal():  # an index of pandas
                del cells[0]
            elif len(cells) > width:
                cells = line[text_start(line) :].split()
        if len(cells) != width:
            if self._is_certain and len(cells) > 1 and _are_numbers(cells):
                counts = f"{len(cells)} cells for {width} columns"
                self._on_damage(f"line {number:,} has {counts}, left out")
            return {}
        row = {name: cell for name, cell in zip(header.names, cells) if name and cell}
        if parse_step(cells[header.step])[0] is not None:
            return row
        return row if _are_numbers([cells[place] for place in header.norms]) else {}


def _split_bars(line: str) -> list[str]:
    """Returns the cells between bars, without a prefix and the bars at both ends."""
    line = line.strip()
    if line.endswith("|"):
        line = line[:-1].partition("|")[2] if "|" in line[:-1] else ""
    elif line.startswith("|"):
        line = line[1:]
    else:
        line = line[text_start(line) :]
    return [cell.strip() for cell in line.split("|")]


def _are_numbers(cells: Sequence[str]) -> bool:
    return all(parse_number(cell) is not None for cell in cells)
