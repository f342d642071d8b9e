"""The running median of a layer covers the last 32 finite norms before a step."""

import numpy as np

from gradsound.alarms.running_median import RunningMedian
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
