"""The steps of all ranks of a training, side by side in blocks.

Shapes: S steps, R ranks, N numbers of steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gradsound.ranks.medians import median_of, median_value
from gradsound.ranks.piecewise_reader import RankFile
from gradsound.runs.rank_layers import WAIT, RankTimes
from gradsound.runs.step import NO_SIGNALS
from gradsound.runs.step_block import StepBlock
from gradsound.runs.step_stream import StepSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from gradsound.runs.model import Header

_NORMS = 1 << 18  # of a block; with times, values and windows they take some 20 MB
_STEPS_MIN, _STEPS_MAX = 256, 4096  # of a block
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class AlignedRanks(StepSource):
    """The steps of all ranks by number; each iteration reads the files anew.

    A block has a layer for each rank, whose norm is that of the rank's whole model. It is
    absent where the rank has no such step. Times and values are medians over the ranks.

    Attributes:
        paths: The run files, R of them, in the order of the ranks.
        header: The header of one of them.
    """

    paths: tuple[Path, ...]
    header: Header

    def blocks(self) -> Iterator[StepBlock]:
        """Yields the steps in blocks.

        Raises:
            OSError: If a file cannot be read.
            RunFormatError: If a line of a file is no step.
        """
        files = [RankFile(path, str(path), self.header, _sum_layers) for path in self.paths]
        size = min(max(_NORMS // len(files), _STEPS_MIN), _STEPS_MAX)
        last_time = 0.0
        while numbers := [n for file in files if (n := file.next_number()) is not None]:
            first = min(numbers)
            table = _StepTable(first, size, len(files))
            for rank, file in enumerate(files):
                for block in file.take_until(first + size):
                    table.add(rank, block)
            block = table.block(last_time)
            last_time = float(block.times[-1])
            yield block


class _StepTable:
    """The steps of all ranks from a number on; the shape of its arrays is (R, N).

    Args:
        first: The first number.
        size: How many numbers there are, N.
        ranks: How many ranks there are, R.
    """

    def __init__(self, first: int, size: int, ranks: int) -> None:
        self._first, self._shape = first, (ranks, size)
        self._norms = np.full(self._shape, np.nan, np.float32)
        self._times, self._waits = (np.full(self._shape, np.nan) for _ in range(2))
        self._has_step, self._has_norm, self._skipped, self._discarded = (
            np.zeros(self._shape, bool) for _ in range(4)
        )
        self._values: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]] = {}

    def add(self, rank: int, block: StepBlock) -> None:
        """Adds steps of one rank, which have one layer."""
        places = block.numbers - self._first
        is_dense = places[-1] - places[0] + 1 == len(places)  # nearly always
        at = slice(places[0], places[-1] + 1) if is_dense else places
        self._has_step[rank, at] = True
        self._has_norm[rank, at] = ~block.absent[:, 0]
        self._norms[rank, at] = block.norms[:, 0]
        self._times[rank, at] = block.times
        self._skipped[rank, at] = block.skipped
        self._discarded[rank, at] = block.discarded
        for name, value in block.values.items():
            if len(value.rows) < len(places):
                at = places[value.rows]
            if name == WAIT:
                self._waits[rank, at] = value.numbers
                continue
            if name not in self._values:
                self._values[name] = (
                    np.full(self._shape, np.nan),
                    np.zeros(self._shape, bool),
                )
            numbers, is_logged = self._values[name]
            numbers[rank, at], is_logged[rank, at] = value.numbers, True

    def block(self, last_time: float) -> StepBlock:
        """Returns the block of the steps that one rank has, or several.

        Args:
            last_time: Seconds of the step before.
        """
        count = self._has_step.sum(axis=0)
        rows = np.flatnonzero(count)
        count = count[rows]
        times = self._times.T[rows]
        middle = np.maximum(
            median_of(times, count), last_time
        )  # ranks began at other times
        has_norm = self._has_norm.T[rows]
        return StepBlock(
            rows + self._first,
            np.maximum.accumulate(middle),
            np.where(has_norm, self._norms.T[rows], np.float32(np.nan)),
            ~has_norm,
            np.full(len(rows), np.nan),
            2 * self._skipped.sum(axis=0)[rows] > count,
            2 * self._discarded.sum(axis=0)[rows] > count,
            None,
            np.zeros(len(rows), bool),
            {
                name: median_value(numbers.T[rows], is_logged.T[rows])
                for name, (numbers, is_logged) in self._values.items()
            },
            RankTimes(times, self._waits.T[rows]),
        )


def _sum_layers(block: StepBlock) -> StepBlock:
    """Returns a block with one layer: the gradients of the whole model as one vector.

    Its norm is the root of the sum of the squares of the layers that have a gradient.
    """
    if block.norms.shape[1] == 1 and block.raw is None:
        return block
    known = np.where(block.absent, 0.0, block.unclipped.astype(np.float64))
    # Squares of float32 stay in the range of float64; their root may leave that of float32.
    norms = np.sqrt(np.einsum("sl,sl->s", known, known))
    norms = np.where(np.isfinite(norms), np.minimum(norms, _FLOAT32_MAX), norms)
    absent = np.asarray(block.absent.all(axis=1))
    norms[absent] = np.nan
    return replace(
        block,
        norms=norms.astype(np.float32)[:, None],
        absent=absent[:, None],
        raw=None,
        clipped=np.zeros(len(block), bool),
        signals=NO_SIGNALS,  # they are ratios, which no sum keeps
    )
