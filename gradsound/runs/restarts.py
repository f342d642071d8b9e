"""Restarts: the lines of a run file at which a resumed training goes on.

A training that resumes from an older checkpoint repeats steps. The later ones count, as in
TensorBoard: a restart takes back every step before it in the file that has its number or a
higher one.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError
from gradsound.runs.strict_json import decode_object

if TYPE_CHECKING:
    from gradsound.runs.step import Step
    from gradsound.runs.step_block import StepBlock

# Lines that are no steps begin in this way, so that a reader finds them without decoding.
MARKS = RESTART, _TOTAL = b'{"resume": ', b'{"steps": '
PAUSES = 32  # between steps; their median is the usual one


def encode_restart(number: int, start: str, comment: str) -> bytes:
    """Returns the line before the first step of a resumed training, with its newline.

    Args:
        number: Number of that step.
        start: When the training was resumed, ISO 8601.
        comment: Free text of the user, or empty.
    """
    fields = {"resume": number, "start": start} | ({"note": comment} if comment else {})
    text = json.dumps(fields, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def encode_total(steps: int) -> bytes:
    """Returns the line that says how many steps a training made, with its newline."""
    return _TOTAL + f"{steps}}}\n".encode()


def decode_restart(line: bytes) -> int | None:
    """Returns the number of the first step after a restart; None for another line.

    Raises:
        RunFormatError: If the line begins as a restart and is none.
    """
    return _decode_count(line, RESTART, "resume")


def decode_total(line: bytes) -> int | None:
    """Returns how many steps the training made; None for another line.

    Raises:
        RunFormatError: If the line begins as such a line and is none.
    """
    return _decode_count(line, _TOTAL, "steps")


def _decode_count(line: bytes, prefix: bytes, key: str) -> int | None:
    if not line.startswith(prefix):
        return None
    count = decode_object(line)[key]
    if type(count) is not int or count < 0:
        raise RunFormatError(f'expected "{key}": a whole number, got {count!r}')
    return count


@dataclass(slots=True)
class StepClock:
    """The times of the last steps, from which a resumed training goes on.

    The time between two parts of a training is no pause of the training, so the first step
    of a part comes one usual pause after the last step of the part before.
    """

    _times: deque[float] = field(default_factory=lambda: deque(maxlen=PAUSES + 1))

    def add(self, time: float) -> None:
        """Adds the time of a step in seconds."""
        self._times.append(time)

    def next_time(self) -> float | None:
        """Returns the time of the first step of the next part; None before any step."""
        if not self._times:
            return None
        from statistics import median  # few trainings resume

        last = self._times[-1]
        pauses = [later - earlier for earlier, later in pairwise(self._times)]
        return last + (median(pauses) if pauses else last)


class TimeShift:
    """Moves the times of steps so that the first one has a given time.

    Args:
        first_time: That time in seconds; None to leave the times as they are.
    """

    def __init__(self, first_time: float | None) -> None:
        self._first_time, self._offset = first_time, 0.0

    def apply(self, step: Step) -> Step:
        """Returns a step with its new time."""
        self._begin_at(step.time)
        return replace(step, time=step.time + self._offset) if self._offset else step

    def apply_to(self, block: StepBlock) -> StepBlock:
        """Returns a block of one step or more with their new times."""
        self._begin_at(float(block.times[0]))
        return replace(block, times=block.times + self._offset) if self._offset else block

    def _begin_at(self, time: float) -> None:
        if self._first_time is not None:
            self._offset, self._first_time = self._first_time - time, None
