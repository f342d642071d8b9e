"""Statistics of the values of a run: first, last, lowest, highest number."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradsound.runs.model import Step


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

    def add(self, step: Step) -> None:
        """Adds the values of a step."""
        for name, number in step.values.items():
            if name not in self.ranges:
                self.ranges[name] = ValueRange(name)
            _add(self.ranges[name], number, step.number)


def _add(known: ValueRange, number: float, step: int) -> None:
    """Adds the number of a step to a range."""
    known.first = known.first if known.count else number
    known.last, known.count = number, known.count + 1
    if not isfinite(number):
        known.nonfinite += 1
        return
    if not number >= known.lowest:  # also the first number, because `lowest` is NaN
        known.lowest, known.lowest_step = number, step
    if not number <= known.highest:
        known.highest, known.highest_step = number, step
