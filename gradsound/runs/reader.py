"""Reads run files step by step, in bounded memory, also while they grow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, BinaryIO

from gradsound.errors import RunFormatError, warn
from gradsound.runs.json_lines import decode_header, decode_step
from gradsound.runs.model import Header, Run, Step
from gradsound.runs.restarts import decode_restart, decode_total

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_LINE_MAX = 1 << 26  # bytes; a longer line shows that the file is no run file
# Bytes per read. Each read releases the GIL for an instant. If a reader did so more often
# than every 5 ms, a thread that waits for the GIL would ask for it in vain.
_BUFFER = 1 << 20
_END_BYTES = 64  # bytes; the line with the number of all steps is shorter


def refuse_norms(source: str, norms: object) -> None:
    """Refuses globs over norms for a run file, because its header names the norms.

    Args:
        source: The name of the run file in the message.
        norms: The globs; None if the user gave none.

    Raises:
        ValueError: If the user gave globs.
    """
    if norms is not None:
        raise ValueError(
            f"{source}: a run file says itself what its norms are; leave out norms"
        )


def read_run_file(path: Path, name: str) -> Run:
    """Opens a run file and reads its header; each iteration of the steps reads them anew.

    Args:
        path: The run file.
        name: The name of the run in messages.

    Raises:
        OSError: If the file does not exist or cannot be read.
        RunFormatError: If it is no run file. Iterating the steps raises it too.
    """
    with path.open("rb") as file:
        header = read_header(name, read_lines(file))
        total_steps = _read_total(file)
    return Run(header, _FileSteps(path, name), name, total_steps)


def parse_run(
    source: str,
    numbered_lines: Iterator[tuple[int, bytes]],
    restarts: Sequence[int] = (),
    *,
    until_restart: bool = False,
) -> Run:
    """Reads a run from its lines; its steps can be iterated once.

    Args:
        source: The name of the run in messages.
        numbered_lines: Lines with their numbers, from `read_lines`.
        restarts: The restarts in the file so far, from `find_restarts`; the reader leaves
            out the steps that they take back. A pipe cannot be read ahead, and a file may
            grow: the run has the steps that another restart takes back, and then their
            numbers again.
        until_restart: Whether the run ends before a restart that is not among these.

    Raises:
        RunFormatError: As `read_run_file`.
    """
    header = read_header(source, numbered_lines)
    layers = len(header.layers)
    steps = _read_steps(source, numbered_lines, layers, restarts, until_restart)
    return Run(header, steps, source)


def find_restarts(source: str, file: io.BufferedIOBase | BinaryIO) -> list[int]:
    """Reads a run file from its start to its end, and goes back to its start.

    Args:
        source: The name of the run in messages.
        file: The open file.

    Returns:
        For each restart in the file, the number of the first step after it.

    Raises:
        RunFormatError: If a line begins as a restart and is none.
    """
    file.seek(0)
    restarts = []
    for number, line in read_lines(file):
        if line.endswith(b"\n"):  # a torn line is none
            try:
                restart = decode_restart(line)
            except RunFormatError as error:
                raise RunFormatError(f"{source}, line {number}: {error}") from error
            if restart is not None:
                restarts.append(restart)
    file.seek(0)
    return restarts


def read_lines(
    file: io.BufferedIOBase | BinaryIO, wait_for_more: Callable[[], bool] = lambda: False
) -> Iterator[tuple[int, bytes]]:
    r"""Yields the lines of a file with their numbers, from 1.

    Args:
        file: The file to read.
        wait_for_more: Called at the end of the file. It may block. It returns whether to
            read again, for a file that grows.

    Yields:
        Number and line. A line ends in ``\n``, except a last line that has none.
    """
    number, line = 1, b""
    while True:
        line += file.readline(_LINE_MAX)
        if line.endswith(b"\n") or len(line) >= _LINE_MAX:
            yield number, line
            number, line = number + 1, b""
        elif not wait_for_more():
            break
    if line:
        yield number, line


@dataclass(frozen=True, slots=True)
class _FileSteps:
    """The steps of a run file, read anew at each iteration."""

    path: Path
    name: str

    def __iter__(self) -> Iterator[Step]:
        with self.path.open("rb", _BUFFER) as file:
            restarts = find_restarts(self.name, file)
            lines = read_lines(file)
            run = parse_run(self.name, lines, restarts, until_restart=True)
            yield from run.steps


def read_header(source: str, numbered_lines: Iterator[tuple[int, bytes]]) -> Header:
    """Reads the header from the first line of a run.

    Arguments and errors are those of `parse_run`.
    """
    number, line = next(numbered_lines, (0, b""))
    if not number:
        raise RunFormatError(f"{source}: empty, expected a run")
    try:
        return decode_header(line)
    except RunFormatError as error:
        raise RunFormatError(f"{source}, line {number}: {error}") from error


def _read_total(file: BinaryIO) -> int | None:
    """Returns how many steps the training made, if the last line says so."""
    file.seek(-min(_END_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
    *_, line = file.read().splitlines() or [b""]
    try:
        return decode_total(line)
    except RunFormatError:  # it is torn; iterating the steps warns
        return None


def _read_steps(
    source: str,
    numbered_lines: Iterator[tuple[int, bytes]],
    layers: int,
    restarts: Sequence[int],
    until_restart: bool,
) -> Iterator[Step]:
    last, ahead = -1, [*restarts]
    taken_back = min(ahead, default=inf)  # steps from this number on
    for number, line in numbered_lines:
        try:
            if decode_total(line) is not None:
                continue
            restart = decode_restart(line)
            step = decode_step(line, layers, last) if restart is None else None
        except RunFormatError as error:
            if not line.endswith(b"\n") and len(line) < _LINE_MAX:
                warn(f"{source}: line {number} is torn and left out; the run ends there")
                return
            raise RunFormatError(f"{source}, line {number}: {error}") from error
        if restart is not None:
            if until_restart and not ahead:
                return
            last, ahead = restart - 1, ahead[1:]
            taken_back = min(ahead, default=inf)
        elif step is not None:
            last = step.number
            if last < taken_back:
                yield step
