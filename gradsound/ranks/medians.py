"""Medians over the ranks of a training.

Shapes: S steps, R ranks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.runs.step_block import LoggedValue

if TYPE_CHECKING:
    from numpy.typing import NDArray


def median_value(numbers: NDArray[np.float64], is_logged: NDArray[np.bool_]) -> LoggedValue:
    """Returns the median over the ranks that logged a value, at each step with any.

    Args:
        numbers: Shape (S, R).
        is_logged: Which of them there are, shape (S, R).
    """
    count = is_logged.sum(axis=1)
    rows = np.flatnonzero(count)
    return LoggedValue(rows, median_of(numbers[rows], count[rows]))


def median_of(numbers: NDArray[np.float64], count: NDArray[np.intp]) -> NDArray[np.float64]:
    """Returns the lower median of each row; NaN is above all numbers.

    Args:
        numbers: Shape (S, R), NaN where there is none.
        count: How many there are in each row, shape (S,); 1 or more.
    """
    middle = (count - 1) // 2
    return np.asarray(np.sort(numbers, axis=1)[np.arange(len(numbers)), middle])
