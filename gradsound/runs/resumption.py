"""Resumption: the place in a run file at which a resumed training goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from gradsound.runs.reader import find_restarts, parse_run, read_lines
from gradsound.runs.restarts import (
    StepClock,
    decode_restart,
    decode_total,
    describe_difference,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.runs.model import Header


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """The place at which a training goes on.

    Attributes:
        step: Number of the next step.
        time: Its time in seconds; None if no step comes before it.
        size: Size of the whole lines in bytes.
        ends_line: Whether the last of them has its newline.
    """

    step: int
    time: float | None
    size: int
    ends_line: bool


def has_run(path: Path) -> bool:
    """Returns whether a file has a whole line; a kill may leave a part of the header."""
    if not path.is_file():  # to open a pipe would wait
        return False
    with path.open("rb") as file:
        return next(read_lines(file), (0, b""))[1].endswith(b"\n")


def find_resume_point(path: Path, header: Header, start_step: int | None) -> ResumePoint:
    """Finds the place in a run file at which a training goes on.

    Args:
        path: The run file.
        header: The header of the training.
        start_step: Number of the next step; if None, the first that the training did not
            make yet.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If the file is not a run.
        ValueError: If the run has other layers than the training.
    """
    with path.open("rb") as file:
        restarts = find_restarts(str(path), file)
        lines = _WholeLines(file)
        run = parse_run(str(path), iter(lines), restarts)
        layers = run.header.layers
        if layers != header.layers:
            difference = describe_difference(layers, header.layers)
            raise ValueError(
                f"{path}: the training cannot go on in it, because the layers of this run "
                f"and of the model differ ({difference}): give another log"
            )
        if run.header.parameters != header.parameters:
            raise ValueError(
                f"{path}: the training cannot go on in it, because layers of this run and "
                "of the model have other numbers of parameters: give another log"
            )
        clock, next_step = StepClock(), 0
        for step in run.steps:
            if start_step is None or step.number < start_step:
                clock.add(step.time)
                next_step = step.number + 1
    if start_step is None:
        start_step = max(next_step, lines.total)
    return ResumePoint(start_step, clock.next_time(), lines.size, lines.ends_line)


class _WholeLines:
    """The lines of a run file without a torn one at its end.

    Args:
        file: The run file.

    Attributes:
        total: How many steps the lines so far say that the training made; 0 if unknown.
        size: Size of the lines so far in bytes.
        ends_line: Whether the last of them has its newline.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.total, self.size, self.ends_line = 0, 0, True

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for number, line in read_lines(self._file):
            self.ends_line = line.endswith(b"\n")
            if not (self.ends_line or _is_json(line)):
                self.ends_line = True  # of the line before
                return
            self.size += len(line)
            if decode_restart(line) is not None:  # it took back what was counted before
                self.total = 0
            yield number, line
            self.total = decode_total(line) or self.total


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
