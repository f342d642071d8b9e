"""Reads run files step by step, in bounded memory, also while they grow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from gradsound.errors import RunFormatError, warn
from gradsound.runs.json_lines import decode_header, decode_step
from gradsound.runs.model import Header, Run, Step

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator
    from pathlib import Path

_LINE_MAX = 1 << 26  # bytes; a longer line shows that the file is no run file
# Bytes per read. Each read releases the GIL for an instant. If a reader did so more often
# than every 5 ms, a thread that waits for the GIL would ask for it in vain.
_BUFFER = 1 << 20


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


def read_run_file(path: Path) -> Run:
    """Opens a run file and reads its header; each iteration of the steps reads them anew.

    Raises:
        OSError: If the file does not exist or cannot be read.
        RunFormatError: If it is no run file. Iterating the steps raises it too.
    """
    with path.open("rb") as file:
        header = _read_header(str(path), read_lines(file))
    return Run(header, _FileSteps(path), str(path))


def parse_run(source: str, numbered_lines: Iterator[tuple[int, bytes]]) -> Run:
    """Reads a run from its lines; its steps can be iterated once.

    Args:
        source: The name of the run in messages.
        numbered_lines: Lines with their numbers, from `read_lines`.

    Raises:
        RunFormatError: As `read_run_file`.
    """
    header = _read_header(source, numbered_lines)
    return Run(header, _read_steps(source, numbered_lines, len(header.layers)), source)


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

    def __iter__(self) -> Iterator[Step]:
        with self.path.open("rb", _BUFFER) as file:
            yield from parse_run(str(self.path), read_lines(file)).steps


def _read_header(source: str, numbered_lines: Iterator[tuple[int, bytes]]) -> Header:
    number, line = next(numbered_lines, (0, b""))
    if not number:
        raise RunFormatError(f"{source}: empty, expected a run")
    try:
        return decode_header(line)
    except RunFormatError as error:
        raise RunFormatError(f"{source}, line {number}: {error}") from error


def _read_steps(
    source: str, numbered_lines: Iterator[tuple[int, bytes]], layers: int
) -> Iterator[Step]:
    last = -1
    for number, line in numbered_lines:
        try:
            step = decode_step(line, layers, last)
        except RunFormatError as error:
            if not line.endswith(b"\n") and len(line) < _LINE_MAX:
                warn(f"{source}: line {number} is torn and left out; the run ends there")
                return
            raise RunFormatError(f"{source}, line {number}: {error}") from error
        last = step.number
        yield step
