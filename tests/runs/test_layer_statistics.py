"""Statistics of layers: peaks, typical norms and zeros, step by step."""

import numpy as np
from helpers.runs import make_run

from gradsound.runs.layer_statistics import LayerStatistics


def statistics_of(norms: list[list[float | None]]) -> LayerStatistics:
    """Returns the statistics of a run with these norms."""
    statistics = LayerStatistics(len(norms[0]))
    for step in make_run(norms).steps:
        statistics.add(step)
    return statistics


def test_the_peak_is_the_first_of_equal_norms() -> None:
    """A later norm of the same size is no new peak."""
    assert statistics_of([[1.0], [3.0], [3.0], [2.0]]).peak_step.tolist() == [1]


def test_zeros_count_from_their_first_step() -> None:
    """A layer is 0 since the first of its last zeros; -1 if its last norm is not 0."""
    rows = [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 2.0]]
    assert statistics_of(rows).zero_since.tolist() == [0, 2, -1]


def test_absent_layers_have_no_statistics() -> None:
    """Without a finite norm, the lowest and the highest are NaN; absences are counted."""
    statistics = statistics_of([[None, np.nan], [None, np.inf]])
    assert np.isnan(statistics.lowest).all()
    assert np.isnan(statistics.highest).all()
    assert statistics.absent.tolist() == [2, 0]
    assert statistics.first_nonfinite == {1: (0, "nan")}
