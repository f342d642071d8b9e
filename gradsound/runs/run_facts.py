"""Facts of a run that the first and the last lines of its file tell, without its steps."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

from gradsound.errors import RunFormatError
from gradsound.runs.lines import LINE_MAX
from gradsound.runs.run_file import parse_header
from gradsound.runs.strict_json import decode_object, is_number

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from gradsound.runs.model import Header

_END_BYTES = 1 << 12  # read first; a few steps of a small model
_COUNTS = "resume", "steps"  # keys of the lines that are no steps
# The begin of a step as gradsound writes it; so its norms need no decoding.
_STEP = re.compile(rb'\{"step": ([0-9]{1,16}), "time": ([0-9]+\.[0-9]+),')


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run file says without its steps.

    Attributes:
        header: The header.
        steps: How many steps the training has made, counted from step 0; None if unknown.
        seconds: Time of the last step; None if there is no step.
        pause: Seconds between the last two steps; 0 if unknown.
        torn: Whether the file ends in a part of a line.
    """

    header: Header
    steps: int | None
    seconds: float | None
    pause: float
    torn: bool


def read_facts(file: BinaryIO, name: str) -> RunFacts:
    """Reads the first line of a run file, and as many of its last ones as it needs.

    Args:
        file: The open file.
        name: Its name in messages.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If its first line is no header. No other line is checked.
    """
    file.seek(0)
    header = parse_header(name, file.readline(LINE_MAX))
    lines = _lines_from_end(file, file.tell())
    last = next(lines, b"\n")
    torn = not last.endswith(b"\n") and _decode(last) is None
    steps: int | None = None
    times: list[float] = []
    for line in lines if torn else chain([last], lines):
        count, time = _decode(line) or (None, None)
        # The lines before a restart may have higher numbers, which it takes back.
        steps = count if steps is None else steps
        times += [] if time is None else [time]
        if len(times) > 1:
            break
    pause = max(times[0] - times[1], 0.0) if len(times) > 1 else 0.0
    seconds = times[0] if times else None
    steps = header.first_step if steps is None else steps
    return RunFacts(header, steps, seconds, pause, torn)


def read_header(file: io.BufferedIOBase, name: str) -> RunFacts:
    """Reads the first line of a file whose end is far away, because it is compressed.

    Arguments and errors are those of `read_facts`.
    """
    header = parse_header(name, file.readline(LINE_MAX))
    return RunFacts(header, None, None, 0.0, torn=False)


def _decode(line: bytes) -> tuple[int | None, float | None] | None:
    """Returns how many steps there are after a line, and its time; None for a torn line."""
    if match := _STEP.match(line):
        if not line.rstrip().endswith(b"}"):
            return None
        return int(match[1]) + 1, float(match[2])
    with suppress(RunFormatError):
        fields = decode_object(line)
        number: Any = fields.get("step")
        time: Any = fields.get("time")
        if type(number) is int and is_number(time):
            return number + 1, float(time)
        counts = [fields[key] for key in _COUNTS if type(fields.get(key)) is int]
        return (counts[0] if counts else None), None
    return None


def _lines_from_end(file: BinaryIO, begin: int) -> Iterator[bytes]:
    """Yields the lines after a place, from the last to the first, with their newlines."""
    end, size, rest = file.seek(0, os.SEEK_END), _END_BYTES, b""
    while end > begin:
        count = min(size, end - begin)
        end, size = end - count, 2 * size
        file.seek(end)
        first, *lines = (file.read(count) + rest).splitlines(keepends=True)
        yield from reversed(lines)
        rest = first
    if rest:
        yield rest
