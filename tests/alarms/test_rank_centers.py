"""Medians of ranks: of those that are known, and of pairs."""

from __future__ import annotations

import numpy as np
import pytest

from gradsound.alarms.rank_centers import (
    center,
    median_known,
    median_of_five,
    median_ranks,
    spread_pairs,
)

NAN = np.nan


@pytest.mark.parametrize(
    ("numbers", "least", "median"),
    [
        ([3.0, 1.0, 2.0], 1, 2.0),
        ([4.0, 1.0, 3.0, 2.0], 1, 2.0),  # the lower one
        ([NAN, 5.0, NAN, 7.0, 6.0], 3, 6.0),
        ([NAN, 5.0, NAN, 7.0, 6.0], 4, NAN),
        ([NAN, NAN], 1, NAN),
    ],
)
def test_the_median_is_that_of_enough_known_numbers(
    numbers: list[float], least: int, median: float
) -> None:
    """It is unknown if fewer are known."""
    np.testing.assert_array_equal(median_known(np.array([numbers]), least), [median])


def test_the_median_of_five_is_the_middle_one() -> None:
    """For any order of five numbers, and where some are equal."""
    numbers = np.random.default_rng(0).integers(0, 6, (5, 500)).astype(float)

    np.testing.assert_array_equal(median_of_five(*numbers), np.median(numbers, axis=0))


def test_the_center_of_a_pair_lies_between_the_two() -> None:
    """So the distance from the other rank is twice that from the center."""
    numbers = np.array([[1.0, 5.0, NAN], [NAN, NAN, 2.0], [1.0, 2.0, 9.0], [NAN] * 3])
    centers = center(numbers)

    np.testing.assert_array_equal(centers, [[3.0], [2.0], [2.0], [NAN]])
    np.testing.assert_array_equal(
        spread_pairs(numbers - centers),
        [[-4.0, 4.0, NAN], [NAN, NAN, 0.0], [-1.0, 0.0, 7.0], [NAN] * 3],
    )


def test_the_median_rank_is_one_of_those_with_a_norm() -> None:
    """NaN is above all norms; without a norm of any rank, the median has none."""
    norms = np.array([[3, 1, 2], [NAN, 1, 2], [NAN, NAN, 2], [4, 3, 2], [0, 0, 0]])
    absent = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, 1], [1, 1, 1]], bool)
    medians, lacks = median_ranks(norms.astype(np.float32), absent)

    np.testing.assert_array_equal(medians[:4, 0], np.float32([2, 2, NAN, 3]))
    assert lacks[:, 0].tolist() == [False, False, False, False, True]
