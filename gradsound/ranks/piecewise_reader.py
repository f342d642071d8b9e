"""The run file of one rank, read piece by piece, so that no file stays open.

A training may have more ranks than a process may open files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.runs.compressed_file import is_compressed, open_file
from gradsound.runs.lines import LINE_MAX, LineGroup
from gradsound.runs.run_file import find_restarts
from gradsound.runs.step_reader import StepReader

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gradsound.runs.model import Header
    from gradsound.runs.step_block import StepBlock

_LINE_BYTES = 100, 12  # of a step, and of a norm in it, about
_LINES = 224  # read at once, as in `runs.lines`


class RankFile:
    """The steps of one rank, read from where the last reading ended.

    Args:
        path: The run file.
        name: Its name in messages.
        header: Its header.
        convert: Called with each block that was read, for what to keep of it.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If a line begins as a restart and is none.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        header: Header,
        convert: Callable[[StepBlock], StepBlock] = lambda block: block,
    ) -> None:
        self._path, self._convert = path, convert
        with open_file(path) as file:
            restarts = find_restarts(name, file)
            self._offset = len(file.readline(LINE_MAX))
        # Of a compressed file, nobody can find a place again; few have so many ranks.
        self._stays_open = is_compressed(path)
        self._file: io.BufferedReader | None = None
        self._line, self._rest = 2, b""  # number of the next line, and its beginning
        step, norm = _LINE_BYTES
        self._bytes = _LINES * (step + norm * len(header.layers))  # read at once
        self._reader = StepReader(name, len(header.layers), restarts, until_restart=True)
        self._ahead: list[StepBlock] = []  # steps that were read, and not taken yet
        self._ended = False

    def next_number(self) -> int | None:
        """Returns the number of the next step; None at the end."""
        while not self._ahead and not self._ended:
            self._read(None)
        return int(self._ahead[0].numbers[0]) if self._ahead else None

    def take_until(self, end: int) -> list[StepBlock]:
        """Takes the steps whose numbers are below an end, in blocks.

        Raises:
            OSError: If the file cannot be read.
            RunFormatError: If a line is no step.
        """
        if not self._ended and not (self._ahead and self._ahead[-1].numbers[-1] >= end):
            self._read(end)
        taken = [block for block in self._ahead if block.numbers[-1] < end]
        self._ahead = self._ahead[len(taken) :]
        if self._ahead and self._ahead[0].numbers[0] < end:
            first, *later = self._ahead
            count = int(np.searchsorted(first.numbers, end))
            taken.append(first.take(slice(count)))
            self._ahead = [first.take(slice(count, None)), *later]
        return taken

    def _read(self, end: int | None) -> None:
        """Reads until a step has an end's number or a higher one; None for any step."""
        file = self._open()
        try:
            for group in self._groups(file):
                self._ahead += map(self._convert, self._reader.read(iter([group])))
                if self._reader.ended:
                    break
                if self._ahead and (end is None or self._ahead[-1].numbers[-1] >= end):
                    return
            self._ended = True
        finally:
            if self._ended or not self._stays_open:
                file.close()

    def _open(self) -> io.BufferedReader:
        """Returns the file, at the next line."""
        if self._file is None or self._file.closed:
            if self._stays_open:
                self._file = open_file(self._path)
                self._file.readline(LINE_MAX)
            else:
                self._file = self._path.open("rb")
                self._file.seek(self._offset)
        return self._file

    def _groups(self, file: io.BufferedReader) -> Iterator[LineGroup]:
        """Yields the lines of successive pieces, each without a line that goes on."""
        while data := file.read(self._bytes):
            self._offset += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) >= LINE_MAX:
                lines, self._rest = [*lines, self._rest], b""
            if lines:
                group = LineGroup(self._line, lines)
                self._line += len(lines)
                yield group
        if self._rest:
            yield LineGroup(self._line, [self._rest], torn=True)
