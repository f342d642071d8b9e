"""Compares two runs: pairs their steps by number, or divides the norms of one by the other.

Shapes: L layers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from gradsound.runs.layer_differences import describe_difference
from gradsound.runs.model import Run
from gradsound.runs.step import NO_SIGNALS, Step
from gradsound.runs.step_block import StepBlock, make_block
from gradsound.runs.step_stream import resize_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


def align_steps(runs: Sequence[Run]) -> Iterator[tuple[int, tuple[Step | None, ...]]]:
    """Yields each step number of the runs in ascending order, with the step of each run.

    The step is None if the run did not measure that number or has ended. At most one step
    of each run is read ahead, so memory does not grow with the runs.
    """
    readers = [iter(run.steps) for run in runs]
    upcoming = [next(reader, None) for reader in readers]
    while any(step is not None for step in upcoming):
        number = min(step.number for step in upcoming if step is not None)
        row = tuple(s if s is not None and s.number == number else None for s in upcoming)
        yield number, row
        for k, step in enumerate(row):
            if step is not None:
                upcoming[k] = next(readers[k], None)


@dataclass(frozen=True, slots=True, eq=False)
class AlignedSteps:
    """The steps of one run for successive rows, of which other runs have steps, too.

    Attributes:
        steps: One step for each row; all layers are absent where the run has none.
        present: Whether the run has the step, shape (S,), bool.
    """

    steps: StepBlock
    present: NDArray[np.bool_]


def align_blocks(runs: Sequence[Run], size: int) -> Iterator[tuple[AlignedSteps, ...]]:
    """Yields successive rows of `align_steps` in blocks: the steps of each run.

    Args:
        runs: One run, or several.
        size: Rows of a block; the last may have fewer.
    """
    if len(runs) == 1:
        for block in resize_blocks(runs[0].blocks(), size):
            yield (AlignedSteps(block, np.ones(len(block), bool)),)
        return
    rows = align_steps(runs)
    while chunk := [*islice(rows, size)]:
        numbers, columns = zip(*chunk)
        yield tuple(
            AlignedSteps(
                make_block(
                    [
                        step or missing_step(number, len(run.header.layers))
                        for number, step in zip(numbers, column)
                    ]
                ),
                np.array([step is not None for step in column]),
            )
            for run, column in zip(runs, zip(*columns))
        )


def missing_step(number: int, layers: int) -> Step:
    """Returns a step that a run does not have; all L layers are absent."""
    norms, absent = np.full(layers, np.nan, np.float32), np.ones(layers, bool)
    return Step(number, 0.0, norms, absent)


def divide_norms(run: Run, other: Run) -> Run:
    """Returns a run whose norms are those of ``other`` divided by those of ``run``.

    The result has the steps that both runs have. A layer is absent where it is absent in
    one of the two. 0 / 0 is 1, because equal norms differ by nothing. A step is skipped if
    it is skipped in one of the two. The result has no signals.

    Raises:
        ValueError: If the runs have different layers.
    """
    names, others = run.header.layers, other.header.layers
    if names != others:
        raise ValueError(
            f"{run.name} and {other.name} have different layers "
            f"({describe_difference(names, others)}): a difference needs the same ones, "
            "--layers chooses some"
        )
    comment = f"{other.name} / {run.name}"
    header = replace(run.header, comment=comment, budget=None, signals=NO_SIGNALS)
    return Run(header, _Ratios(run, other), comment)


@dataclass(frozen=True, slots=True)
class _Ratios:
    """Steps with the ratios of two runs; repeatable if both runs are."""

    run: Run
    other: Run

    def __iter__(self) -> Iterator[Step]:
        for _, (step, other) in align_steps([self.run, self.other]):
            if step is None or other is None:
                continue
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                norms = other.norms / step.norms
            norms[(step.norms == 0) & (other.norms == 0)] = 1
            # Where one run has a norm of 0, by design or not, no ratio means anything.
            absent = step.absent | other.absent | ((step.norms == 0) & (other.norms > 0))
            norms[absent] = np.nan
            yield replace(
                other,
                norms=norms,
                absent=absent,
                raw=None,
                skipped=step.skipped or other.skipped,
                values={**step.values, **other.values},
                signals=NO_SIGNALS,
            )
