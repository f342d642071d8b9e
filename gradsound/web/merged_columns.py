"""Columns of a picture from any number of steps, in bounded memory.

Shapes: S steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.moments import merge_rows
from gradsound.runs.step_block import concatenate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.runs.step_block import StepBlock


class MergedColumns:
    """The columns of a run, which merge more and more steps as the run goes on.

    All columns merge the same number of steps, except the last.

    Args:
        most: The greatest number of columns.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._firsts: list[NDArray[np.int64]] = []
        self._blocks: list[StepBlock] = []  # of merged steps, with the numbers of the last
        self._count = 0
        self._size, self._last = 1, 0  # steps in a full column, and in the last one

    def add(self, firsts: NDArray[np.int64], steps: StepBlock) -> None:
        """Adds successive steps, which may be merged ones.

        Args:
            firsts: Number of the first step that each of them merges, shape (S,).
            steps: The steps.
        """
        missing = self._size - self._last if self._count else 0  # in the last column
        self._last = (self._last + len(steps) - 1) % self._size + 1
        begins = np.arange(missing, len(steps), self._size)
        if missing:  # the last column goes on
            column, first = self._blocks[-1], self._firsts[-1]
            self._blocks[-1], self._firsts[-1] = column.take(slice(-1)), first[:-1]
            self._count -= 1
            steps = concatenate([column.take(slice(-1, None)), steps])
            firsts = np.append(first[-1:], firsts)
            begins = np.append(0, begins + 1)
        self._append(firsts, steps, begins)
        while self._count > self._most:
            self._last += 0 if self._count % 2 else self._size
            self._size *= 2
            firsts, steps = np.concatenate(self._firsts), concatenate(self._blocks)
            self._firsts, self._blocks, self._count = [], [], 0
            self._append(firsts, steps, np.arange(0, len(steps), 2))

    def _append(
        self, firsts: NDArray[np.int64], steps: StepBlock, begins: NDArray[np.intp]
    ) -> None:
        self._firsts.append(np.minimum.reduceat(firsts, begins))
        self._blocks.append(merge_rows(steps, begins))
        self._count += len(begins)

    def end(self) -> tuple[NDArray[np.int64], StepBlock]:
        """Returns the number of the first step of each column, and its merged step."""
        return np.concatenate(self._firsts), concatenate(self._blocks)
