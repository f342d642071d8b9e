"""Reading run files, as a stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from gradsound.errors import RunFormatError, warn
from gradsound.runs.json_lines import decode_header, decode_step
from gradsound.runs.model import Header, Run, Step

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator

_LINE_MAX = 1 << 26  # bytes; a line of 64 MiB is no step but a file of another kind
# Bytes that are read at once. Each reading lets go of Python's lock for an instant; were it
# oftener than every 5 ms, a thread that waits for the lock would ask for it in vain.
_BUFFER = 1 << 20


def refuse_norms(source: str, norms: object) -> None:
    """A run file, called ``source``, needs no globs over its norms.

    Raises:
        ValueError: If there are some.
    """
    if norms is not None:
        raise ValueError(
            f"{source}: a run file says itself what its norms are; leave out norms"
        )


def read_run_file(path: Path) -> Run:
    """Opens a run file: reads its header; the steps are read anew at each iteration.

    Raises:
        OSError: If there is no such file, or it cannot be read.
        RunFormatError: If it is not a run file. Iterating the steps raises it too.
    """
    with path.open("rb") as file:
        header = _read_header(str(path), lines(file))
    return Run(header, _FileSteps(path), str(path))


def parse(source: str, numbered: Iterator[tuple[int, bytes]]) -> Run:
    """Reads a run from its lines; the steps can be iterated once.

    Args:
        source: What to call the run in messages.
        numbered: Lines with their numbers, as `lines` yields them.

    Raises:
        RunFormatError: As `read_run_file`.
    """
    header = _read_header(source, numbered)
    return Run(header, _read_steps(source, numbered, len(header.layers)), source)


def lines(
    file: io.BufferedIOBase | BinaryIO, more: Callable[[], bool] = lambda: False
) -> Iterator[tuple[int, bytes]]:
    r"""Yields the lines of a file with their numbers, from 1.

    Args:
        file: Where to read.
        more: Called at the end of the file: whether to try again, for a file that grows.
            It may take its time.

    Yields:
        Number and line, which ends in ``\n`` unless it is the last and has none.
    """
    number, line = 1, b""
    while True:
        line += file.readline(_LINE_MAX)
        if line.endswith(b"\n") or len(line) >= _LINE_MAX:
            yield number, line
            number, line = number + 1, b""
        elif not more():
            break
    if line:
        yield number, line


@dataclass(frozen=True, slots=True)
class _FileSteps:
    """The steps of a run file, read anew at each iteration."""

    path: Path

    def __iter__(self) -> Iterator[Step]:
        with self.path.open("rb", _BUFFER) as file:
            yield from parse(str(self.path), lines(file)).steps


def _read_header(source: str, numbered: Iterator[tuple[int, bytes]]) -> Header:
    number, line = next(numbered, (0, b""))
    if not number:
        raise RunFormatError(f"{source}: empty, expected a run")
    try:
        return decode_header(line)
    except RunFormatError as error:
        raise RunFormatError(f"{source}, line {number}: {error}") from error


def _read_steps(
    source: str, numbered: Iterator[tuple[int, bytes]], layers: int
) -> Iterator[Step]:
    last = -1
    for number, line in numbered:
        try:
            step = decode_step(line, layers, last)
        except RunFormatError as error:
            if not line.endswith(b"\n") and len(line) < _LINE_MAX:
                warn(f"{source}: line {number} is torn and left out; the run ends there")
                return
            raise RunFormatError(f"{source}, line {number}: {error}") from error
        last = step.number
        yield step
