"""Columns of the picture: the norms of successive steps, or of several merged into one.

Shapes: S columns, L layers, R rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.moments import Moment
    from gradsound.runs.step_block import StepBlock

_ABSENT = np.float32(-1)  # a layer without gradient; no norm is negative


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Columns of the picture.

    Attributes:
        times: Seconds since the start of the run, shape (S,).
        firsts: Number of the first step of each column, shape (S,).
        lasts: Number of the last, shape (S,).
        norms: The norm of each layer in the order of a tree, or of each row, float32, -1
            without gradient, shape (S, L) or (S, R).
    """

    times: NDArray[np.float64]
    firsts: NDArray[np.int64]
    lasts: NDArray[np.int64]
    norms: NDArray[np.float32]

    def __len__(self) -> int:
        """Returns S."""
        return len(self.times)

    def of_rows(self, spans: Sequence[tuple[int, int]]) -> Columns:
        """Returns the columns with a row for each span of layers: their largest norm.

        NaN is larger than infinity, and each norm is larger than no gradient.

        Args:
            spans: First place of each row, and the place after its last, R of them.
        """
        norms = np.empty((len(self), len(spans)), np.float32)
        for row, (begin, end) in enumerate(spans):
            self.norms[:, begin:end].max(axis=1, out=norms[:, row])
        return Columns(self.times, self.firsts, self.lasts, norms)

    def merged(self, size: int) -> Columns:
        """Returns columns that each merge some successive ones: their largest norms.

        Args:
            size: How many to merge; the last column may merge fewer.
        """
        starts = np.arange(0, len(self), size)
        ends = np.minimum(starts + size, len(self)) - 1
        norms = np.maximum.reduceat(self.norms, starts, axis=0)
        return Columns(self.times[ends], self.firsts[starts], self.lasts[ends], norms)


def columns_of_steps(
    firsts: NDArray[np.int64], steps: StepBlock, order: Sequence[int]
) -> Columns:
    """Returns a column for each step.

    Args:
        firsts: Number of the first step of each column, shape (S,).
        steps: The step of each column; of several, the merged one.
        order: Indices of the layers in the order of a tree, L of them.
    """
    norms = np.where(steps.absent, _ABSENT, steps.norms)[:, [*order]]
    return Columns(steps.times, firsts, steps.numbers, norms)


def column_of_moment(moment: Moment, order: Sequence[int]) -> Columns:
    """Returns the one column of a moment; arguments as for `columns_of_steps`."""
    step = moment.step
    norms = np.where(step.absent, _ABSENT, step.norms)[[*order]]
    first, last = np.array([moment.first]), np.array([step.number])
    return Columns(np.array([step.time]), first, last, norms[None])


def join_columns(parts: Sequence[Columns]) -> Columns:
    """Returns the columns of several parts, at least one, as one."""
    return Columns(
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.firsts for part in parts]),
        np.concatenate([part.lasts for part in parts]),
        np.concatenate([part.norms for part in parts]),
    )
