"""Medians of few numbers are those of Python's module statistics."""

from __future__ import annotations

import statistics

from hypothesis import given
from hypothesis import strategies as st

from gradsound.alarms.median import lower_median, median

numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9)


@given(numbers)
def test_medians_are_those_of_statistics(some: list[float]) -> None:
    """Of odd and even counts, in any order."""
    assert lower_median(some) == statistics.median_low(some)
    assert median(some) == statistics.median(some)
