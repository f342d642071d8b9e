"""Statistics of norms: lowest, typical, highest, where they were, zeros, absences."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from helpers.runs import make_run

from gradsound.summary.norm_statistics import NormRange, NormStatistics


def ranges_of(norms: list[list[float | None]], at_once: int = 2) -> tuple[NormRange, ...]:
    """Returns the statistics of a run with these norms, some steps at a time."""
    run = make_run(norms)
    statistics, steps = NormStatistics(run.header.layers), [*run.steps]
    for k in range(0, len(steps), at_once):
        chunk = steps[k : k + at_once]
        statistics.add(
            np.stack([step.norms for step in chunk]),
            np.stack([step.absent for step in chunk]),
            np.array([step.number for step in chunk]),
        )
    return statistics.ranges()


@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_norms_of_a_layer(at_once: int) -> None:
    """The first of equal norms counts, and typical is the median above 0."""
    rows = [[2.0], [5.0], [None], [np.nan], [0.0], [5.0], [0.0], [np.inf], [3.0]]

    assert asdict(ranges_of(rows, at_once)[0]) == {
        "name": "layer0",
        "lowest": 0.0,
        "typical": 4.0,
        "highest": 5.0,
        "lowest_step": 4,
        "highest_step": 1,
        "absent": 1,
        "zeros": 2,
        "nonfinite": 2,
    }


def test_a_layer_without_finite_norms() -> None:
    """Its numbers are NaN, and no step has them."""
    for one in ranges_of([[None, np.nan], [None, np.inf]]):
        assert np.isnan([one.lowest, one.typical, one.highest]).all()
        assert (one.lowest_step, one.highest_step, one.zeros) == (None, None, 0)


def test_a_layer_that_is_always_0() -> None:
    """Its typical norm is 0, because no norm is above."""
    (zero,) = ranges_of([[0.0], [0.0], [None]])
    assert (zero.lowest, zero.typical, zero.highest, zero.zeros) == (0.0, 0.0, 0.0, 2)


def test_numbers_have_the_digits_of_float32() -> None:
    """1/3 is 0.33333334, without the digits that float64 would add."""
    (third,) = ranges_of([[1 / 3], [1 / 3]])
    assert (third.lowest, third.typical, third.highest) == (0.33333334,) * 3
