"""Counts of steps: every 20th, irregular, skipped, clipped."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.runs import make_run

from gradsound.runs.step_stream import make_blocks
from gradsound.summary.description import describe_steps
from gradsound.summary.step_counts import StepCounts


def counts_of(numbers: list[int]) -> StepCounts:
    """Returns the counts of a run with steps of these numbers."""
    counts = StepCounts()
    (step,) = make_run([[1.0]]).steps
    for block in make_blocks((replace(step, number=number) for number in numbers), 3):
        counts.add(block)
    return counts


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], "0 steps"),
        ([0], "1 step"),
        ([*range(2000)], "2,000 steps"),
        ([*range(1, 2001)], "2,000 steps"),
        ([*range(20, 40_001, 20)], "2,000 of 40,000 steps logged, every 20th"),
        ([*range(0, 40_000, 20)], "2,000 of 40,000 steps logged, every 20th"),
        ([2, 4, 6], "3 of 6 steps logged, every 2nd"),
        ([111, 222, 333, 444], "4 of 444 steps logged, every 111th"),
        # A trainer also logs the last step.
        ([*range(10, 101, 10), 103], "11 of 103 steps logged, every 10th"),
        ([*range(520, 601, 20)], "5 of 100 steps logged, every 20th, from step 520 on"),
        # A budget leaves out steps, a resumed run may lack some.
        ([0, 1, 2, 3, 7, 8], "6 of 9 steps logged"),
        ([0, 3, 4, 19, 20, 45, 90], "7 of 91 steps logged, at irregular distances"),
        ([7], "1 step, from step 7 on"),
    ],
)
def test_which_steps_a_run_has(numbers: list[int], text: str) -> None:
    """The text has how many of how many steps, and the usual distance, from the numbers."""
    assert describe_steps(counts_of(numbers).logged()) == text


def test_distances_take_bounded_memory() -> None:
    """A log with a new distance at every step has no rule, and few distances are kept."""
    numbers = [k * (k + 1) // 2 for k in range(5000)]
    counts = counts_of(numbers)

    assert counts.logged().every is None
    assert len(counts._distances) <= 1000
