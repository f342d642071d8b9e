"""The running median of a layer covers the last 32 finite norms before a step."""

import numpy as np
import pytest

from gradsound.alarms.running_median import (
    RunningMedian,
    median,
    robust_deviation,
    split_steps,
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


def test_a_window_is_sorted_and_infinite_where_no_norm_is_known() -> None:
    """Norms that are not finite are not known either; a norm takes four bytes."""
    running = RunningMedian(2)
    first = running.windows(np.array([[3, np.nan], [1, -np.inf]], np.float32))
    second = running.windows(np.array([[2, 5]], np.float32))

    assert first.shape == (2, 2, WINDOW_STEPS)
    assert first.dtype == second.dtype == np.float32
    assert np.isposinf(first[0]).all()
    assert first[1, 0, :2].tolist() == [3, np.inf]
    assert second[0, 0, :3].tolist() == [1, 3, np.inf]
    assert np.isposinf(second[0, 1]).all()


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
    ("steps", "layers", "chunks"),
    [
        (1, 3, [1]),
        (16_385, 1, [16_384, 1]),
        (12_000, 3, [5461, 5461, 1078]),
        (3, 16_384, [1, 1, 1]),
        (1, 20_000, [1]),
        (2, 20_000, [1, 1]),
    ],
)
def test_a_chunk_has_at_most_16_384_norms(
    steps: int, layers: int, chunks: list[int]
) -> None:
    """A chunk has one step at least, however many layers a model has."""
    decades = np.zeros((steps, layers), np.float32)

    assert [len(chunk) for chunk in split_steps(decades)] == chunks
