"""Medians in bounded memory: exact for few numbers, close for many, in any order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradsound.summary.medians import Medians

NORMS = st.floats(2.0**-149, 2.0**127, width=32)


def medians_of(streams: list[list[float]], exact: int = 1 << 18, at_once: int = 3):
    """Returns the medians of streams whose numbers are added a few at a time."""
    medians = Medians(len(streams), exact)
    rows = np.full((max(map(len, streams)), len(streams)), np.nan, np.float32)
    for stream, numbers in enumerate(streams):
        rows[: len(numbers), stream] = numbers
    for k in range(0, len(rows), at_once):
        part = rows[k : k + at_once]
        medians.add(part, np.isfinite(part))
    return medians.values()


@given(st.lists(st.lists(NORMS, max_size=9), min_size=1, max_size=4))
def test_few_numbers_have_their_exact_medians(streams: list[list[float]]) -> None:
    """They are those of numpy, from the smallest float32 on; a stream without has NaN."""
    expected = [np.median(one) if one else np.nan for one in streams]
    np.testing.assert_array_equal(medians_of(streams), expected)


def test_many_numbers_have_close_medians() -> None:
    """With the fewest bins, the medians of two decades are right to 1 %."""
    rng = np.random.default_rng(3)
    streams = [10 ** rng.uniform(-2 - k, -k, 20_001) for k in range(3)]
    found = medians_of([one.tolist() for one in streams], exact=1, at_once=97)
    expected = [np.median(one) for one in streams]

    assert (found != expected).all()
    np.testing.assert_allclose(found, expected, rtol=0.01)


@pytest.mark.parametrize("at_once", [1, 7, 5000])
def test_medians_do_not_depend_on_order_or_calls(at_once: int) -> None:
    """Which numbers come first, and how many at a time, changes no bit of a result."""
    numbers = 10 ** np.random.default_rng(5).normal(0, 0.5, 5000)
    shuffled = np.random.default_rng(6).permutation(numbers)
    usual = medians_of([numbers.tolist()], exact=1, at_once=100)

    assert usual == medians_of([shuffled.tolist()], exact=1, at_once=at_once)


def test_memory_is_bounded() -> None:
    """A million different numbers leave few bins, also before `values`."""
    medians = Medians(1, exact=1000)
    for seed in range(100):
        numbers = np.random.default_rng(seed).lognormal(0, 3, 10_000).astype(np.float32)
        medians.add(numbers[:, None], np.ones((len(numbers), 1), bool))
        assert len(medians._keys) <= 1000
        assert medians._pending_count <= 1000


def test_equal_numbers_do_not_hide_that_there_are_many() -> None:
    """Whether the different numbers come first or last, they lose the same bits."""
    different = 10 ** np.random.default_rng(8).normal(0, 0.5, 1000)
    equal = [1.0] * 1001

    first = medians_of([[*different, *equal]], exact=1000, at_once=1)
    assert first == medians_of([[*equal, *different]], exact=1000, at_once=1)
