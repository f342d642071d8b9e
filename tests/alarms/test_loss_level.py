"""The level of a loss: what is usual, what it fell from, and how much it scatters."""

from __future__ import annotations

import numpy as np
import pytest

from gradsound.alarms.loss_level import LossLevel

LOSSES = [3.0, 9.0, 4.0, 1.0, 6.0, 0.5, 2.0, 0.25]


def level_of(losses: list[float]) -> LossLevel:
    """Returns the level after these losses."""
    level = LossLevel()
    for loss in losses:
        level.add(loss)
    return level


@pytest.mark.parametrize(
    ("count", "median", "deviation", "lowest", "highest", "high", "noise"),
    [
        (1, 3.0, 0.0, 3.0, 3.0, 3.0, 0.0),
        (2, 3.0, 0.0, 3.0, 9.0, 3.0, 6.0),
        (3, 4.0, 1.0, 3.0, 9.0, 3.0, 6.0),
        (4, 3.0, 1.0, 1.0, 9.0, 3.0, 6.0),
        (5, 4.0, 2.0, 1.0, 9.0, 4.0, 6.0),
        (8, 2.0, 1.5, 0.25, 9.0, 4.0, 5.5),
    ],
)
def test_the_level_is_that_of_all_losses_so_far(
    count: int,
    median: float,
    deviation: float,
    lowest: float,
    highest: float,
    high: float,
    noise: float,
) -> None:
    """The lower median, and the median distance from it times 1.4826.

    The largest usual loss is the third largest; the noise is the third quartile of the
    changes. In place of 0, both the spread and the noise are tiny, to divide by.
    """
    level = level_of(LOSSES[:count])

    assert (level.count, level.median) == (count, median)
    assert (level.lowest, level.highest, level.high) == (lowest, highest, high)
    assert level.spread == max(1.4826 * deviation, 1e-300)
    assert level.noise == max(noise, 1e-300)


def test_before_the_first_loss_each_would_be_usual() -> None:
    """No loss is above the largest usual one."""
    assert LossLevel().usual_max == np.inf


@pytest.mark.parametrize(
    ("count", "start", "best", "fall"),
    [
        (0, np.inf, np.inf, 0.0),
        (1, 3.0, np.inf, 0.0),
        (2, 3.0, np.inf, 0.0),
        (4, 4.0, np.inf, 0.0),
        (5, 4.0, 4.0, 0.0),
        (7, 4.0, 2.0, 2.0),
        (8, 4.0, 1.0, 3.0),
    ],
)
def test_the_fall_is_that_of_smoothed_losses(
    count: int, start: float, best: float, fall: float
) -> None:
    """From the median of the first three to the lowest median of five."""
    level = level_of(LOSSES[:count])

    assert (level.start, level.best, level.fall) == (start, best, fall)


def test_a_loss_that_rises_has_not_fallen() -> None:
    """The fall is 0 or more, and the best stays the lowest."""
    level = level_of([1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 7.0, 8.0, 9.0])

    assert (level.start, level.best, level.fall) == (1.0, 1.0, 0.0)
    rising = level_of([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert (rising.start, rising.best, rising.fall) == (2.0, 3.0, 0.0)


def test_the_largest_usual_loss_is_two_spreads_above_or_the_third_largest() -> None:
    """Of the two, the larger counts."""
    wide, outliers = [0.0, 1.0, 2.0, 3.0, 4.0], [1.0] * 20 + [5.0] * 3

    assert level_of(wide).usual_max == 2 + 2 * 1.4826
    assert level_of(outliers).usual_max == 5.0
    assert level_of(outliers[:-1]).usual_max == 1 + 2e-300


@pytest.mark.parametrize(
    ("count", "median", "lowest"),
    [(63, 31.0, 0.0), (64, 31.0, 0.0), (71, 31.0, 0.0), (72, 39.0, 8.0), (80, 47.0, 16.0)],
)
def test_a_full_window_is_renewed_at_every_eighth_loss(
    count: int, median: float, lowest: float
) -> None:
    """It has 64 losses, so memory and time do not grow with the run."""
    level = level_of([float(k) for k in range(count)])

    assert (level.median, level.lowest) == (median, lowest)
    assert level.highest == count - 1 - (count % 8 if count > 64 else 0)
