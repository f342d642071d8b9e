"""The running median of a layer covers the last 32 finite norms before a step."""

import numpy as np
import pytest

from gradsound.alarms.running_median import (
    RunningMedian,
    find_extremes,
    median,
    median_bounds,
    robust_deviation,
    slide,
    split,
)
from gradsound.alarms.thresholds import MIN_STEPS, WINDOW_STEPS


def test_the_running_median_covers_the_steps_before() -> None:
    """It is NaN where fewer than 16 norms are known."""
    rng = np.random.default_rng(0)
    decades = rng.normal(size=(200, 3)).astype(np.float32)
    decades[::7, 1] = np.nan
    medians = RunningMedian(3).medians(decades)
    for step, layer in [(40, 0), (199, 1), (100, 2)]:
        window = decades[max(0, step - WINDOW_STEPS) : step, layer]
        window = np.sort(window[np.isfinite(window)])
        assert medians[step, layer] == window[(len(window) - 1) // 2]

    assert np.isnan(medians[:MIN_STEPS]).all()
    assert np.isfinite(medians[MIN_STEPS:, 0]).all()


def test_the_running_median_does_not_depend_on_the_steps_per_call() -> None:
    """One step at a time gives the same bits as 600 steps at once."""
    decades = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
    at_once, one_by_one = RunningMedian(3).medians(decades), RunningMedian(3)

    np.testing.assert_array_equal(
        np.concatenate([one_by_one.medians(row[None]) for row in decades]), at_once
    )


def test_a_window_is_infinite_where_no_norm_is_known() -> None:
    """Norms that are not finite are not known either; a norm takes four bytes."""
    running = RunningMedian(2)
    first = running.windows(np.array([[3, np.nan], [1, -np.inf]], np.float32))
    second = running.windows(np.array([[2, 5]], np.float32))

    assert first.shape == (2, 2, WINDOW_STEPS)  # layers, steps
    assert first.dtype == second.dtype == np.float32
    assert np.isposinf(first[:, 0]).all()
    assert first[0, 1, -2:].tolist() == [np.inf, 3]
    assert second[0, 0, -3:].tolist() == [np.inf, 3, 1]
    assert np.isposinf(second[1, 0]).all()


def test_bounds_are_not_above_the_medians() -> None:
    """They are close below them; where a norm is not known, there is no bound."""
    decades = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    decades[100, 1] = np.nan
    windows = RunningMedian(3).windows(decades)
    bounds, medians = median_bounds(windows), median(np.sort(windows, axis=-1))

    assert bounds.shape == (3, 300)
    assert np.isneginf(bounds[:, :WINDOW_STEPS]).all()
    assert np.isneginf(bounds[1, 101:133]).all()
    assert np.isfinite(bounds[1, 133:]).all()
    assert (bounds[:, WINDOW_STEPS:] <= medians[:, WINDOW_STEPS:]).all()
    assert np.mean(medians[0, 32:] - bounds[0, 32:]) < 1.5


@pytest.mark.parametrize("pick", [np.minimum, np.maximum])
@pytest.mark.parametrize("count", [8, 9, 40])
def test_extremes_are_those_of_all_windows(pick: np.ufunc, count: int) -> None:
    """Of each column; also where only one window fits."""
    numbers = np.random.default_rng(count).normal(size=(count, 3))
    windows = np.lib.stride_tricks.sliding_window_view(numbers, 8, axis=0)

    np.testing.assert_array_equal(
        find_extremes(pick, numbers, 8), pick.reduce(windows, axis=-1)
    )


def test_a_slide_is_that_of_numpy() -> None:
    """The view has all windows along the last axis."""
    numbers = np.arange(24.0).reshape(2, 12)

    np.testing.assert_array_equal(
        slide(numbers, 5), np.lib.stride_tricks.sliding_window_view(numbers, 5, axis=-1)
    )


def test_the_median_of_an_even_count_is_the_lower_one() -> None:
    """Of 16 values, it is the eighth; of 15, none."""
    windows = np.full((2, 32), np.inf, np.float32)
    windows[0, :16], windows[1, :15] = np.arange(16), np.arange(15)
    medians = median(windows)

    assert medians.dtype == np.float32
    assert medians.tolist() == pytest.approx([7, np.nan], nan_ok=True)
    windows[0, 16] = 16
    assert median(windows)[0] == 8


def test_the_deviation_does_not_follow_outliers() -> None:
    """It is 1.4826 times the median distance of the finite values from their median."""
    windows = np.full((3, 1, 32), np.inf, np.float32)
    windows[0, 0, :16] = [*range(-7, 8), 100]
    windows[1, 0] = np.arange(32)
    windows[2, 0, :15] = np.arange(15)
    deviations = robust_deviation(windows, median(windows))

    assert (deviations.shape, deviations.dtype) == ((3, 1), np.float32)
    np.testing.assert_allclose(deviations[:, 0], [4 * 1.4826, 8 * 1.4826, np.nan])


@pytest.mark.parametrize(
    ("count", "size", "ends"),
    [
        (0, 4, []),
        (1, 4, [4]),
        (4, 4, [4]),
        (9, 4, [4, 8, 12]),
        (20_000, None, [16_384, 32_768]),
    ],
)
def test_a_count_is_split(count: int, size: int | None, ends: list[int]) -> None:
    """By default a slice has 16,384 norms, to bound the memory of their windows."""
    parts = [*(split(count) if size is None else split(count, size))]

    assert [part.stop for part in parts] == ends
    assert [part.start for part in parts] == [0, *ends][: len(parts)]
