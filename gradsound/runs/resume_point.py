"""Resumption: the place in a run file at which a resumed training goes on.

A training waits for it, so it reads the header and then the file from its end. Of a run of
any length, it decodes only the last steps that the training keeps.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, BinaryIO

from gradsound.errors import RunFormatError
from gradsound.runs.layer_differences import describe_difference
from gradsound.runs.lines import LINE_MAX
from gradsound.runs.restarts import (
    PAUSES,
    StepClock,
    decode_restart,
    decode_total,
)
from gradsound.runs.run_file import parse_header
from gradsound.runs.step_line import decode_step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.runs.model import Header
    from gradsound.runs.step import Step

_BLOCK_BYTES = 1 << 18  # bytes per read; the last steps of most runs are in one
# The begin of a step as gradsound writes it. Other writers may order the keys differently.
_STEP = re.compile(rb'\{"step": ([0-9]+),')


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
        return file.readline(LINE_MAX).endswith(b"\n")


def find_resume_point(path: Path, header: Header, start_step: int | None) -> ResumePoint:
    """Finds the place in a run file at which a training goes on.

    Args:
        path: The run file.
        header: The header of the training.
        start_step: Number of the next step; if None, the first that the training did not
            make yet.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If the file is not a run, or one of its last lines is wrong. The
            function does not read the lines before.
        ValueError: If the run has other layers than the training.
    """
    with path.open("rb") as file:
        run = parse_header(str(path), file.readline(LINE_MAX))
        _check_same_layers(path, run, header)
        begin = file.tell()
        size, ends_line = _measure_whole_lines(file, begin)
        try:
            end = _read_end(file, begin, size, len(header.layers), start_step)
        except RunFormatError as error:
            raise RunFormatError(f"{path}, one of the last lines: {error}") from error
    if start_step is None:
        start_step = end.next_step
    clock = StepClock()
    for time in reversed(end.times):
        clock.add(time)
    return ResumePoint(start_step, clock.next_time(), size, ends_line)


def find_next_step(path: Path, header: Header) -> int:
    """Returns the number of the first step that a training did not make yet.

    Arguments and errors are those of `find_resume_point`; the file may not exist yet.
    """
    return find_resume_point(path, header, None).step if has_run(path) else 0


def _check_same_layers(path: Path, run: Header, training: Header) -> None:
    refusal = f"{path}: the training cannot go on in it, because"
    if run.layers != training.layers:
        difference = describe_difference(run.layers, training.layers)
        raise ValueError(
            f"{refusal} the layers of this run and of the model differ ({difference}): "
            "give another log"
        )
    if run.parameters != training.parameters:
        raise ValueError(
            f"{refusal} layers of this run and of the model have other numbers of "
            "parameters: give another log"
        )


def _measure_whole_lines(file: BinaryIO, begin: int) -> tuple[int, bool]:
    """Returns the size of the file without a torn last line, and whether a newline ends it.

    Args:
        file: The run file.
        begin: Where the header ends.
    """
    size = file.seek(0, os.SEEK_END)
    last = next(_lines_from_end(file, begin, size), [b""])[-1]
    if last.endswith(b"\n") or not last:
        return size, True
    return (size, False) if _is_json(last) else (size - len(last), True)


@dataclass(slots=True)
class _RunEnd:
    """What the end of a run file says about its last steps.

    Attributes:
        next_step: Number of the first step that the training did not make yet.
        times: Times of the last steps before the next one, from the last to the first.
    """

    next_step: int
    times: list[float]


def _read_end(
    file: BinaryIO, begin: int, end: int, layers: int, start_step: int | None
) -> _RunEnd:
    """Reads the last steps that a training keeps, from the end of its file.

    Args:
        file: The run file.
        begin: Where its header ends.
        end: Where its last whole line ends.
        layers: How many layers the header names.
        start_step: As for `find_resume_point`.
    """
    found = _RunEnd(0, [])
    taken_back = inf if start_step is None else start_step  # steps from this number on
    last_part = True  # no restart follows these lines
    for lines in _lines_from_end(file, begin, end):
        if taken_back == 0:
            break
        if _is_taken_back(lines, taken_back):
            continue
        for line in reversed(lines):
            if (total := decode_total(line)) is not None:
                if last_part:
                    found.next_step = max(found.next_step, total)
            elif (restart := decode_restart(line)) is not None:
                if last_part:
                    found.next_step = max(found.next_step, restart)
                taken_back, last_part = min(taken_back, restart), False
            elif (step := _decode_kept(line, layers, taken_back)) is not None:
                found.next_step = max(found.next_step, step.number + 1)
                found.times.append(step.time)
            if len(found.times) > PAUSES:
                return found
    return found


def _is_taken_back(lines: list[bytes], taken_back: float) -> bool:
    """Returns whether lines have no restart, and only steps that were taken back."""
    first = _STEP.match(lines[0])
    return (
        first is not None
        and int(first[1]) >= taken_back  # and so are the later ones, which are higher
        and all(decode_restart(line) is None for line in lines)
    )


def _decode_kept(line: bytes, layers: int, taken_back: float) -> Step | None:
    """Returns the step of a line; None if it was taken back."""
    match = _STEP.match(line)
    if match is not None and int(match[1]) >= taken_back:
        return None
    step = decode_step(line, layers, -1)
    return step if step.number < taken_back else None


def _lines_from_end(file: BinaryIO, begin: int, end: int) -> Iterator[list[bytes]]:
    """Yields the lines between two places, some at a time, from the last to the first.

    Yields:
        Lines in their order in the file, at least one.
    """
    rest = b""  # the end of a line that begins further ahead
    while end > begin:
        size = min(_BLOCK_BYTES, end - begin)
        end -= size
        file.seek(end)
        lines = (file.read(size) + rest).splitlines(keepends=True)
        rest = b"" if end == begin else lines.pop(0)
        if lines:
            yield lines


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
