"""Curves of a picture: rows thinned to groups."""

import numpy as np
import pytest
from helpers.pictures import draw, line
from helpers.runs import make_run
from hypothesis import given
from hypothesis import strategies as st

from gradsound.rendering.curves import join, thin


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(1, 9))
def test_groups_keep_their_extremes(values: list[float], size: int) -> None:
    """Each group has its highest value at its step, its lowest, and the median."""
    numbers = np.arange(len(values), dtype=float) * 3
    column = np.array(values)[:, None]
    curves = thin(numbers, column, np.ones(column.shape, bool), size)

    for k, begin in enumerate(range(0, len(values), size)):
        group = values[begin : begin + size]
        assert curves.highest[k, 0] == max(group)
        assert values[int(curves.highest_steps[k, 0] / 3)] == max(group)
        assert curves.lowest[k, 0] == min(group)
        assert curves.usual[k, 0] == pytest.approx(np.median(group))
        assert curves.steps[k] == begin * 3
    assert np.isnan(curves.nonfinite_steps).all()


def test_nan_is_a_mark_and_no_value() -> None:
    """The other values of a group with NaN or infinity stay; absent ones count nowhere."""
    values = np.array([[1.0], [np.nan], [np.inf], [5.0], [9.0], [9.0]])
    present = np.array([[True], [True], [True], [True], [False], [False]])
    curves = thin(np.arange(6.0), values, present, 2)

    np.testing.assert_array_equal(curves.highest[:, 0], [1.0, 5.0, np.nan])
    np.testing.assert_array_equal(curves.nonfinite_steps[:, 0], [1.0, 2.0, np.nan])
    assert list(curves.without_gaps().steps) == [0.0, 2.0]


@pytest.mark.parametrize("cut", [4, 8])
def test_parts_join_to_the_whole(cut: int) -> None:
    """Rows read in parts of whole groups give the curves of all rows."""
    values = np.random.default_rng(1).normal(size=(14, 3))
    present, numbers = values > -1, np.arange(14.0)
    whole = thin(numbers, values, present, 4)
    parts = [
        thin(numbers[part], values[part], present[part], 4)
        for part in (slice(0, cut), slice(cut, None))
    ]

    np.testing.assert_array_equal(join(parts).highest, whole.highest)
    np.testing.assert_array_equal(join(parts).usual, whole.usual)


def usual_line(values: list[float | None]) -> np.ndarray:
    """Returns the line of the usual norm in the picture of a run."""
    (axes,) = draw(make_run([[value] for value in values])).norms
    return line(axes, "layer0").get_ydata()


def test_the_usual_line_begins_and_ends_with_the_values() -> None:
    """The median at an end is the value there, and none is in a long gap or beyond."""
    fall = [1000.0 / (k + 1) for k in range(250)]
    values = [None] * 40 + fall + [None] * 60 + [5.0] * 150 + [None] * 100
    usual = usual_line(values)

    present = np.array([value is not None for value in values])
    np.testing.assert_array_equal(np.isfinite(usual), present)
    assert usual[40] == 1000.0
    assert usual[499] == 5.0
    assert np.nanmax(usual) == 1000.0


def test_short_gaps_do_not_break_the_usual_line() -> None:
    """A value that is missing among others leaves no gap in the line."""
    values: list[float | None] = [1.0 + k % 7 / 10 for k in range(400)]
    values[100:102] = [None, None]

    assert np.isfinite(usual_line(values)).all()


def test_a_curve_of_few_values_has_no_usual_line() -> None:
    """A band with a norm at every third step only is points, because a median jumps."""
    norms = [[1.0 + k % 7 if k % 3 == 0 else 0.0] for k in range(400)]
    (axes,) = draw(make_run(norms)).norms

    assert line(axes, "layer0").get_marker() == "."
    assert np.count_nonzero(np.isfinite(line(axes, "layer0").get_ydata())) == 134
