"""Two runs, step by step: at the same time, or the ratio of their norms.

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


def aligned(runs: Sequence[Run]) -> Iterator[tuple[int, tuple[Step | None, ...]]]:
    """Yields the numbers of the steps of runs, in order, and the step of each run.

    None where a run does not have that one: it was not measured, or the run is over.
    """
    readers = [iter(run.steps) for run in runs]
    coming = [next(reader, None) for reader in readers]
    while any(step is not None for step in coming):
        number = min(step.number for step in coming if step is not None)
        now = tuple(s if s is not None and s.number == number else None for s in coming)
        yield number, now
        for k, step in enumerate(now):
            if step is not None:
                coming[k] = next(readers[k], None)


def ratios(run: Run, other: Run) -> Run:
    """The other run, its norms divided by those of a run.

    It has the steps that both have. Where a layer has no gradient in one it has none; where
    both are 0 the ratio is 1. A step is skipped if one of the two is.

    Raises:
        ValueError: If the two have different layers.
    """
    names, others = run.header.layers, other.header.layers
    if names != others:
        missing = {*names} ^ {*others}
        what = f"not in both: {', '.join(sorted(missing)[:4])}" if missing else "the order"
        raise ValueError(
            f"{run.name} and {other.name} have different layers ({what}): a difference "
            "needs the same ones, --layers chooses some"
        )
    header = replace(run.header, comment=f"{other.name} / {run.name}", budget=None)
    return Run(header, _Ratios(run, other), f"{other.name} / {run.name}")


@dataclass(frozen=True, slots=True)
class _Ratios:
    """Steps of two runs as one, as often readable as theirs."""

    run: Run
    other: Run

    def __iter__(self) -> Iterator[Step]:
        for _, (step, other) in aligned([self.run, self.other]):
            if step is None or other is None:
                continue
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                norms = other.norms / step.norms
            norms[(step.norms == 0) & (other.norms == 0)] = 1
            absent = step.absent | other.absent
            norms[absent] = np.nan
            yield replace(
                other,
                norms=norms,
                absent=absent,
                raw=None,
                skipped=step.skipped or other.skipped,
                values={**step.values, **other.values},
            )
