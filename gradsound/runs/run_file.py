"""Reads a run file: its header, its restarts, and its steps, also while it grows."""

from __future__ import annotations

import io
import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from gradsound.errors import RunFormatError
from gradsound.runs.compressed_file import open_file
from gradsound.runs.header_line import decode_header
from gradsound.runs.lines import LINE_MAX, contains, read_lines
from gradsound.runs.model import Header, Run
from gradsound.runs.restarts import RESTART, decode_restart, decode_total
from gradsound.runs.step_reader import StepReader
from gradsound.runs.step_stream import StepSource, StepStream, merge_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from gradsound.runs.lines import LineGroup
    from gradsound.runs.step_block import StepBlock

Decoded = TypeVar("Decoded")

_END_BYTES = 64  # bytes; the line with the number of all steps is shorter


def read_run_file(path: Path, name: str) -> Run:
    """Opens a run file and reads its header; each iteration of the steps reads them anew.

    Args:
        path: The run file.
        name: The name of the run in messages.

    Raises:
        OSError: If the file does not exist or cannot be read.
        RunFormatError: If it is no run file. Iterating the steps raises it too.
    """
    with open_file(path) as file:
        header = parse_header(name, file.readline(LINE_MAX))
        total_steps = _read_total(file, header)
    return Run(header, _FileSteps(path, name), name, total_steps)


def parse_run(
    source: str,
    lines: Iterator[LineGroup],
    restarts: Sequence[int] = (),
    *,
    until_restart: bool = False,
) -> Run:
    """Reads a run from its lines; its steps can be iterated once.

    Args:
        source: The name of the run in messages.
        lines: Groups of lines, from `read_lines`.
        restarts: The restarts in the file so far, from `find_restarts`; the reader leaves
            out the steps that they take back. A pipe cannot be read ahead, and a file may
            grow: the run has the steps that another restart takes back, and then their
            numbers again.
        until_restart: Whether the run ends before a restart that is not among these.

    Raises:
        RunFormatError: As `read_run_file`.
    """
    header = parse_header(source, next((group.lines[0] for group in lines), b""))
    reader = StepReader(source, len(header.layers), restarts, until_restart)
    return Run(header, StepStream(reader.read(lines)), source)


def find_restarts(source: str, file: io.BufferedIOBase) -> list[int]:
    """Reads a run file from its start to its end, and goes back to its start.

    Args:
        source: The name of the run in messages.
        file: The open file.

    Returns:
        For each restart in the file, the number of the first step after it.

    Raises:
        RunFormatError: If a line begins as a restart and is none.
    """
    restarts: list[int] = []
    if not contains(file, b"\n" + RESTART):  # nearly no run has one
        file.seek(0)
        return restarts
    file.seek(0)
    for group in read_lines(file):
        for k, line in enumerate(group.whole_lines):
            if line.startswith(RESTART):
                restart = _decode(decode_restart, source, group.first + k, line)
                if restart is not None:
                    restarts.append(restart)
    file.seek(0)
    return restarts


@dataclass(frozen=True, slots=True)
class _FileSteps(StepSource):
    """The steps of a run file, read anew at each iteration."""

    path: Path
    name: str

    def blocks(self) -> Iterator[StepBlock]:
        """Yields the steps in blocks."""
        with open_file(self.path) as file:
            restarts = find_restarts(self.name, file)
            run = parse_run(self.name, read_lines(file), restarts, until_restart=True)
            yield from merge_blocks(run.blocks())


def parse_header(source: str, line: bytes) -> Header:
    """Returns the header of a run from its first line.

    Args:
        source: The name of the run in messages.
        line: The line, with or without its newline; empty if there is none.

    Raises:
        RunFormatError: If the line is no header.
    """
    if not line:
        raise RunFormatError(f"{source}: empty, expected a run")
    return _decode(decode_header, source, 1, line)


def _decode(
    decode: Callable[[bytes], Decoded], source: str, number: int, line: bytes
) -> Decoded:
    """Decodes a line; an error names the source and the line."""
    try:
        return decode(line)
    except RunFormatError as error:
        raise RunFormatError(f"{source}, line {number}: {error}") from error


def _read_total(file: BinaryIO, header: Header) -> int | None:
    """Returns how many steps the training made, if the last line says so."""
    try:
        file.seek(-min(_END_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
    except io.UnsupportedOperation:  # it takes time to reach the end of a compressed file
        if header.budget is None:  # and a training without a budget measures each step
            return None
    last = deque(file, maxlen=1)
    try:
        return decode_total(last.pop().rstrip()) if last else None
    except RunFormatError:  # it is torn; iterating the steps warns
        return None
