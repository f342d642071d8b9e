"""A run that is read once: its steps stay in memory, as long as that is little."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np

from gradsound.runs.step_block import StepBlock
from gradsound.runs.step_stream import StepSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.runs.model import Run

_BYTES_MAX = 1 << 26  # of norms and numbers, a million steps of 4 layers; larger is reread


def keep_run(run: Run) -> Run:
    """Returns a run whose steps stay in memory after the first reading.

    A run whose steps take more than 64 MB of memory is read anew each time.
    """
    return replace(run, steps=_KeptSteps(run))


class _KeptSteps(StepSource):
    """Steps that are read once if they are few.

    Args:
        run: A run whose steps can be iterated repeatedly.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._kept: list[StepBlock] | None = None

    def blocks(self) -> Iterator[StepBlock]:
        """Yields the steps in blocks."""
        if self._kept is not None:
            yield from self._kept
            return
        kept, size = list[StepBlock](), 0
        for block in self._run.blocks():
            size += _count_bytes(block)
            if size <= _BYTES_MAX:
                kept.append(block)
            else:
                kept.clear()
            yield block
        if size <= _BYTES_MAX:
            self._kept = kept


def _count_bytes(block: StepBlock) -> int:
    """Returns the size of a block's arrays."""
    arrays = [getattr(block, field.name) for field in fields(StepBlock)]
    for value in block.values.values():
        arrays += [value.rows, value.numbers]
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
