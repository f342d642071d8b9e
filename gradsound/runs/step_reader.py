"""Reads the steps of a run from its lines, in blocks, and leaves out those taken back.

It ends at a torn line, with a warning, and refuses any other line that is no step.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError, warn
from gradsound.runs.block_decoder import decode_block
from gradsound.runs.restarts import MARKS, decode_restart, decode_total
from gradsound.runs.step import Step
from gradsound.runs.step_block import make_block
from gradsound.runs.step_line import decode_step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradsound.runs.lines import LineGroup
    from gradsound.runs.step_block import StepBlock


class StepReader:
    """Decodes the lines of a run after its header.

    Args:
        source: The name of the run in messages.
        layers: How many layers the run has.
        restarts: As for `parse_run`.
        until_restart: As for `parse_run`.

    Attributes:
        ended: Whether the run has ended: at a torn line, or before a restart.
    """

    def __init__(
        self, source: str, layers: int, restarts: Sequence[int], until_restart: bool
    ) -> None:
        self._source, self._layers = source, layers
        self._ahead, self._until_restart = [*restarts], until_restart
        self._last = -1  # number of the last step
        self.ended = False

    def read(self, groups: Iterator[LineGroup]) -> Iterator[StepBlock]:
        """Yields the steps of groups of lines, without those that a restart takes back.

        Raises:
            RunFormatError: If a line is no step.
        """
        for group in groups:
            marks = [k for k, line in enumerate(group.lines) if line.startswith(MARKS)]
            begin = 0
            for end in (*marks, len(group.lines)):
                taken_back = min(self._ahead, default=inf)  # steps from this number on
                for block in self._decode_steps(group, begin, end):
                    self._last = int(block.numbers[-1])
                    stays = block.numbers < taken_back
                    if stays.all():
                        yield block
                    elif stays.any():
                        yield block.take(stays)
                if end < len(group.lines):
                    self._decode_mark(group, end)
                if self.ended:
                    return
                begin = end + 1

    def _decode_steps(self, group: LineGroup, begin: int, end: int) -> Iterator[StepBlock]:
        """Yields the steps of some lines of a group."""
        lines = group.lines[begin:end]
        if not lines:
            return
        block = decode_block(lines, self._layers, self._last)
        if block is not None:
            yield block
            return
        steps, last = list[Step](), self._last
        error = None
        for k, line in enumerate(lines, begin):
            try:
                steps.append(decode_step(line, self._layers, last))
            except RunFormatError as reason:
                error = k, reason
                break
            last = steps[-1].number
        if steps:
            yield make_block(steps)
        if error is not None:
            self._refuse(group, *error)

    def _decode_mark(self, group: LineGroup, k: int) -> None:
        """Follows a line that is no step."""
        try:
            restart = decode_restart(group.lines[k])
            if restart is None:
                decode_total(group.lines[k])
        except RunFormatError as error:
            self._refuse(group, k, error)
            return
        if restart is not None:
            if self._until_restart and not self._ahead:
                self.ended = True
            self._last, self._ahead = restart - 1, self._ahead[1:]

    def _refuse(self, group: LineGroup, k: int, error: RunFormatError) -> None:
        """Ends the run at a torn line, with a warning; refuses any other wrong line."""
        number = group.first + k
        if not (group.torn and k == len(group.lines) - 1):
            raise RunFormatError(f"{self._source}, line {number}: {error}") from error
        warn(f"{self._source}: line {number} is torn and left out; the run ends there")
        self.ended = True
