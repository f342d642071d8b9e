"""Statistics of the values of a run: first, last, lowest, highest number."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.runs.step_block import StepBlock


@dataclass(slots=True)
class ValueRange:
    r"""The numbers of one value over a run.

    Attributes:
        name: Name of the value.
        count: How many steps have the value.
        nonfinite: How many of these numbers are NaN or infinite.
        first: The first number, also if it is not finite.
        last: The last number, also if it is not finite.
        lowest: The lowest finite number; NaN without one.
        highest: The highest finite number; NaN without one.
        lowest_step: Number of the first step with the lowest number; None without one.
        highest_step: Number of the first step with the highest number; None without one.

    Example:
        >>> from pathlib import Path
        >>> import gradsound
        >>> table = "step,grad_norm,loss\n0,1.5,0.75\n5,1.25,0.5\n"
        >>> _ = Path("metrics.csv").write_text(table)
        >>> loss = gradsound.summarize(gradsound.read_run("metrics.csv")).values["loss"]
        >>> loss.first, loss.lowest, loss.lowest_step
        (0.75, 0.5, 5)
    """

    name: str
    count: int = 0
    nonfinite: int = 0
    first: float = nan
    last: float = nan
    lowest: float = nan
    highest: float = nan
    lowest_step: int | None = None
    highest_step: int | None = None


class ValueStatistics:
    """Statistics of all values over the steps that were added.

    Attributes:
        ranges: The range of each value by its name, in the order of their first steps.
    """

    def __init__(self) -> None:
        self.ranges: dict[str, ValueRange] = {}

    def add(self, steps: StepBlock) -> None:
        """Adds the values of successive steps."""
        for name, value in steps.values.items():
            if name not in self.ranges:
                self.ranges[name] = ValueRange(name)
            _add(self.ranges[name], value.numbers, steps.numbers[value.rows])


def _add(known: ValueRange, numbers: NDArray[np.float64], steps: NDArray[np.int64]) -> None:
    """Adds the numbers of successive steps to a range; shapes (K,), K at least 1."""
    known.first = known.first if known.count else float(numbers[0])
    known.last, known.count = float(numbers[-1]), known.count + len(numbers)
    finite = np.isfinite(numbers)
    known.nonfinite += int(len(numbers) - finite.sum())
    if not finite.any():
        return
    numbers, steps = numbers[finite], steps[finite]
    low, high = int(numbers.argmin()), int(numbers.argmax())
    if not numbers[low] >= known.lowest:  # also at first, because `lowest` is NaN
        known.lowest, known.lowest_step = float(numbers[low]), int(steps[low])
    if not numbers[high] <= known.highest:
        known.highest, known.highest_step = float(numbers[high]), int(steps[high])
