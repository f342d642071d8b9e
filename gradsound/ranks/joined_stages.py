"""The stages of a pipeline, which several ranks recorded, side by side as one model.

Shapes: S steps, R ranks, L layers of all ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.ranks.medians import median_of, median_value
from gradsound.ranks.piecewise_reader import RankFile
from gradsound.runs.step_block import StepBlock, concatenate
from gradsound.runs.step_stream import StepSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from gradsound.runs.model import Header

_NORMS = 1 << 18  # of a block; a step of a larger model is a block of its own
_STEPS_MAX = 4096  # of a block


@dataclass(frozen=True, slots=True)
class JoinedStages(StepSource):
    """The steps of all stages by number; each iteration reads the files anew.

    A block has the layers of all ranks. Those of a rank are absent where the rank has no
    such step. Times and values are medians over the ranks. A step is skipped, or discarded,
    if a rank says so.

    Attributes:
        headers: The headers by the run files, R of them.
        order: Indices of all layers, file by file, in the order of the stages, length L.
    """

    headers: Mapping[Path, Header]
    order: Sequence[int]

    def blocks(self) -> Iterator[StepBlock]:
        """Yields the steps in blocks.

        Raises:
            OSError: If a file cannot be read.
            RunFormatError: If a line of a file is no step.
        """
        files = [RankFile(path, str(path), one) for path, one in self.headers.items()]
        size = max(min(_NORMS // len(self.order), _STEPS_MAX), 1)
        last_time = 0.0
        while numbers := [n for file in files if (n := file.next_number()) is not None]:
            end = min(numbers) + size
            taken = [file.take_until(end) for file in files]
            block = self._join([concatenate(b) if b else None for b in taken], last_time)
            last_time = float(block.times[-1])
            yield block

    def _join(self, blocks: Sequence[StepBlock | None], last_time: float) -> StepBlock:
        """Returns one block; None stands for a rank without a step in it.

        Args:
            blocks: The steps of each rank, length R.
            last_time: Seconds of the step before.
        """
        known = [block for block in blocks if block is not None]
        numbers = np.unique(np.concatenate([block.numbers for block in known]))
        steps, ranks, layers = len(numbers), len(blocks), len(self.order)
        norms, raw = (np.full((steps, layers), np.nan, np.float32) for _ in range(2))
        absent = np.ones((steps, layers), bool)
        times, scales = (np.full((steps, ranks), np.nan) for _ in range(2))
        skipped, discarded, clipped = (np.zeros(steps, bool) for _ in range(3))
        signals: dict[str, NDArray[np.float32]] = {}
        values: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]] = {}
        column = 0
        for rank, (block, header) in enumerate(zip(blocks, self.headers.values())):
            columns = slice(column, column + len(header.layers))
            column = columns.stop
            if block is None:
                continue
            rows = np.searchsorted(numbers, block.numbers)
            norms[rows, columns], raw[rows, columns] = block.norms, block.unclipped
            absent[rows, columns] = block.absent
            times[rows, rank], scales[rows, rank] = block.times, block.loss_scales
            skipped[rows] |= block.skipped
            discarded[rows] |= block.discarded
            clipped[rows] |= block.clipped
            for name, numbers_of in block.signals.items():
                if name not in signals:
                    signals[name] = np.full((steps, layers), np.nan, np.float32)
                signals[name][rows, columns] = numbers_of
            for name, value in block.values.items():
                if name not in values:
                    values[name] = np.full_like(times, np.nan), np.zeros(times.shape, bool)
                at = rows[value.rows], rank
                values[name][0][at], values[name][1][at] = value.numbers, True
        middle = median_of(times, np.isfinite(times).sum(axis=1))
        return StepBlock(
            numbers,
            np.maximum.accumulate(np.maximum(middle, last_time)),
            norms[:, self.order],
            absent[:, self.order],
            np.fmin.reduce(scales, axis=1),  # of the ranks that have a scaler
            skipped,
            discarded,
            raw[:, self.order] if clipped.any() else None,
            clipped,
            {
                name: median_value(of_ranks, is_logged)
                for name, (of_ranks, is_logged) in values.items()
            },
            signals={name: own[:, self.order] for name, own in signals.items()},
        )
