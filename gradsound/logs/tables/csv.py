"""Reads tables with a column of steps, such as `metrics.csv` of Lightning's CSVLogger."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np

from gradsound.logs.encoding import TextDecoder
from gradsound.logs.names.unread_norms import report_unread_cell
from gradsound.logs.row import ENTRY_MAX
from gradsound.logs.tables.growing_file import GrowingFile
from gradsound.logs.tables.known_rows import KnownRows
from gradsound.logs.tables.long_table import check_runs, name_values
from gradsound.logs.tables.table_header import parse_header, refuse_table, split_line
from gradsound.logs.tables.table_rows import parse_rows, split_columns

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore
    from gradsound.logs.tables.table_header import Header

TOOL = "CSV"
FILE_PATTERN = "*.[ct]sv"
# In a folder, the first of these names counts: of Lightning, Stable-Baselines3 and RLlib,
# Ultralytics, timm, Spinning Up.
FILE_NAMES = ("metrics.csv", "progress.csv", "results.csv", "summary.csv", "progress.txt")

_PREAMBLE_MAX = 10  # lines before the header: blank, a comment, sep=;
_CHUNK = 1 << 18  # bytes per read; lines of them have up to 65,536 numbers, rarely more


def is_table(head: bytes, step: str | None = None) -> bool:
    """Returns whether a file with this beginning, in UTF-8, has a header with steps."""
    file = io.StringIO(head.decode("utf-8-sig", "replace"), newline=None)
    lines = (file.readline(ENTRY_MAX) for _ in range(_PREAMBLE_MAX + 1))
    return any(parse_header(line, step) for line in lines)


def read(
    path: Path,
    on_damage: OnDamage,
    wait_for_more: WaitForMore = lambda: False,
    step: str | None = None,
) -> Iterator[Scalars | None]:
    """Yields the scalars of a table; `scalars` says how.

    Of a table that is written anew while it is read, as Lightning does for a new column,
    it yields what is new: rows, and cells of the last row.

    Args:
        path: The table.
        on_damage: Called where a line is damaged.
        wait_for_more: Called at the end of what is there. It returns whether to read on.
        step: The name of the column of steps. None finds it by its usual names.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If it has no header with a column of steps.
    """
    known = KnownRows()
    is_over = False
    while not is_over:
        table = _Table(on_damage, step, known, value_name(path))
        with GrowingFile(path) as file:
            text = TextDecoder(file.read)
            while True:
                if piece := text.read(_CHUNK):
                    yield from table.read(piece)
                    if table.is_over:
                        return
                    continue
                yield None
                is_over = not wait_for_more()
                if is_over:
                    yield from table.finish(text.finish())
                    break
                if file.is_rewritten():
                    known.rewind()
                    break


def value_name(path: Path) -> str:
    """Returns the name of the only value in a table of TensorBoard, by its file's name."""
    return re.sub(r"^.*?tag-", "", path.stem)


def _is_torn(line: str, header: Header) -> bool:
    """Returns whether a last line without a newline lacks cells."""
    return len(split_line(line, header.delimiter)) < header.width


class _Table:
    """Reads the text of a table, piece by piece.

    Args:
        on_damage: Called where a line is damaged.
        step: The name of the column of steps, if a user named it.
        known: The rows that were read before.
        value_name: The name of the value in a table that TensorBoard exported.

    Attributes:
        is_over: Whether a line is too long, which ends the table.
    """

    def __init__(
        self, on_damage: OnDamage, step: str | None, known: KnownRows, value_name: str
    ) -> None:
        self._on_damage, self._step, self._known = on_damage, step, known
        self._value_name = value_name
        self._rest, self._number = "", 0  # text of a line in progress; lines before it
        self._first, self._runs = "", dict[str, None]()
        self._header: Header | None = None
        self.is_over = False

    def read(self, text: str) -> Iterator[Scalars]:
        """Yields the values in the lines that a piece of the text completes."""
        *lines, self._rest = (self._rest + text).split("\n")
        if len(lines[0] if lines else self._rest) >= ENTRY_MAX:
            self._need_header()
            self._on_damage(f"line {self._number + 1:,} is longer than any, and ends it")
            self.is_over = True
        elif lines:
            yield from self._read_lines(lines)

    def finish(self, text: str) -> Iterator[Scalars]:
        """Yields the values in the last line, which has no newline; reports a torn one."""
        yield from self.read(text)
        last, header = self._rest, self._header
        if header and last.strip() and _is_torn(last, header):
            self._on_damage(f"line {self._number + 1:,} is torn, left out")
            return
        yield from self._read_lines([last])
        self._need_header()

    def _need_header(self) -> None:
        """Refuses the table if no line so far was a header."""
        if self._header is None:
            raise refuse_table(self._first or self._rest.strip(), self._step)

    def _read_lines(self, lines: Sequence[str]) -> Iterator[Scalars]:
        """Yields the values in whole lines."""
        at = 0
        while self._header is None and at < len(lines):
            self._header = self._parse_header(lines[at])
            self._first = self._first or lines[at].strip()
            at += 1
            if self._number + at > _PREAMBLE_MAX:
                self._need_header()
        numbers: Sequence[int] = range(self._number + 1 + at, self._number + 1 + len(lines))
        self._number += len(lines)
        lines = lines[at:]
        if not all(map(str.strip, lines)):
            kept = [(number, line) for number, line in zip(numbers, lines) if line.strip()]
            numbers, lines = [number for number, _ in kept], [line for _, line in kept]
        while lines:
            assert self._header is not None  # noqa: S101 - lines follow a header
            count = yield from self._read_rows(lines, numbers, self._header)
            lines, numbers = lines[count:], numbers[count:]

    def _parse_header(self, line: str) -> Header | None:
        return parse_header(line, self._step, self._value_name)

    def _read_rows(
        self, lines: Sequence[str], numbers: Sequence[int], header: Header
    ) -> Generator[Scalars, None, int]:
        """Yields the values in lines up to another header; returns how many lines.

        Args:
            lines: Lines, of which none is blank.
            numbers: Their numbers.
            header: The header that they follow.
        """
        total = header.clock.total
        rows, end = parse_rows(lines, header), len(lines)
        for row in np.flatnonzero(~rows.has_step).tolist():
            # A training that was resumed writes a header again.
            if again := self._parse_header(lines[row]):
                if header.clock.is_duration:
                    again.clock.total = float(np.nanmax(rows.times[:row], initial=total))
                self._header, end = again, row
                break
            self._on_damage(f"line {numbers[row]:,} has no step, left out")
        for name, (row, cell) in rows.unreadable.items():
            if row < end and rows.has_step[row]:
                report_unread_cell(self._on_damage, name, cell, numbers[row])
        rows = rows.take(slice(0, end))
        if header.key is None:
            yield self._known.take_new(rows).scalars()
        else:
            columns = split_columns(lines[:end], header)
            if header.run is not None:
                check_runs(self._runs, columns[header.run])
            names, cells = columns[header.key], columns[header.values[0][0]]
            for row in np.flatnonzero(rows.has_step & ~rows.present[:, 0]).tolist():
                if cells[row].strip():
                    report_unread_cell(
                        self._on_damage, names[row].strip(), cells[row], numbers[row]
                    )
            yield name_values(rows, names)
        return end + 1
