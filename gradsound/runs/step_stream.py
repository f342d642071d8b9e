"""Streams of steps: from steps to blocks, from blocks to steps, to blocks of one size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

from gradsound.runs.step import Step
from gradsound.runs.step_block import StepBlock, concatenate, make_block

if TYPE_CHECKING:
    from collections.abc import Iterable


_STEPS = 256  # of a block; the norms of a thousand layers take 1 MB
_MERGED_STEPS, _MERGED_NORMS = 4096, 1 << 16  # of a block that was merged; 256 kB


class StepSource(ABC):
    """Steps that can be iterated repeatedly, one by one or in blocks."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Step]:
        """Yields the steps."""
        return chain.from_iterable(self.blocks())

    @abstractmethod
    def blocks(self) -> Iterator[StepBlock]:
        """Yields the steps in blocks."""


class StepStream(Iterator[Step]):
    """Steps that can be iterated once, one by one or in blocks.

    Args:
        blocks: The steps in blocks.
    """

    def __init__(self, blocks: Iterator[StepBlock]) -> None:
        self._blocks = blocks
        self._steps = chain.from_iterable(blocks)

    def __next__(self) -> Step:
        """Returns the next step."""
        return next(self._steps)

    def blocks(self) -> Iterator[StepBlock]:
        """Yields the blocks; `next` has returned no step before."""
        return self._blocks


def make_blocks(steps: Iterable[Step], size: int = _STEPS) -> Iterator[StepBlock]:
    """Yields successive steps in blocks of one size; the last may be smaller.

    Args:
        steps: The steps.
        size: Steps of a block.
    """
    remaining = iter(steps)
    while chunk := [*islice(remaining, size)]:
        yield make_block(chunk)


def merge_blocks(blocks: Iterable[StepBlock]) -> Iterator[StepBlock]:
    """Yields the steps of small blocks in larger ones, which take less time a step."""
    waiting, count = list[StepBlock](), 0
    for block in blocks:
        waiting.append(block)
        count += len(block)
        if count >= _MERGED_STEPS or count * block.norms.shape[1] >= _MERGED_NORMS:
            yield concatenate(waiting)
            waiting, count = [], 0
    if count:
        yield concatenate(waiting)


def resize_blocks(blocks: Iterable[StepBlock], size: int) -> Iterator[StepBlock]:
    """Yields the steps of blocks in blocks of one size; the last may be smaller.

    Args:
        blocks: Successive blocks.
        size: Steps of a block, 1 or more.
    """
    waiting, count = list[StepBlock](), 0
    for block in blocks:
        waiting.append(block)
        count += len(block)
        if count >= size:
            known, whole = concatenate(waiting), count - count % size
            for begin in range(0, whole, size):
                yield known.take(slice(begin, begin + size))
            waiting, count = [known.take(slice(whole, count))], count - whole
    if count:
        yield concatenate(waiting)
