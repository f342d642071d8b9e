"""Compares two runs: pairs their steps by number, or divides the norms of one by the other.

Shapes: L layers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gradsound.runs.model import Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradsound.runs.model import Step

_NAMED_MAX = 4  # layers that an error message names; more are hard to read


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


def divide_norms(run: Run, other: Run) -> Run:
    """Returns a run whose norms are those of ``other`` divided by those of ``run``.

    The result has the steps that both runs have. A layer is absent where it is absent in
    one of the two. 0 / 0 is 1, because equal norms differ by nothing. A step is skipped if
    it is skipped in one of the two.

    Raises:
        ValueError: If the runs have different layers.
    """
    names, others = run.header.layers, other.header.layers
    if names != others:
        unshared = sorted({*names} ^ {*others})
        reason = f"not in both: {', '.join(unshared[:_NAMED_MAX])}"
        raise ValueError(
            f"{run.name} and {other.name} have different layers "
            f"({reason if unshared else 'the order'}): a difference needs the same ones, "
            "--layers chooses some"
        )
    comment = f"{other.name} / {run.name}"
    header = replace(run.header, comment=comment, budget=None)
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
            )
