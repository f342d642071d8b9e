"""What is remarkable of two steps is in what they become."""

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
from helpers.runs import make_run
from hypothesis import given
from hypothesis import strategies as st

from gradsound.music.moments import merge_steps
from gradsound.runs.model import Step

INF, NAN = float("inf"), float("nan")


def step(*norms: float | None, number: int = 0, **more: object) -> Step:
    """A step of layers' norms; None is no gradient."""
    absent = np.array([norm is None for norm in norms])
    return Step(number, 0.1 * number, np.array(norms, np.float32), absent, **more)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (1.0, 2.0, 2.0),
        (2.0, 1.0, 2.0),
        (INF, 1.0, INF),
        (1.0, INF, INF),
        (NAN, INF, NAN),
        (INF, NAN, NAN),
        (NAN, 1.0, NAN),
        (None, 0.0, 0.0),
        (NAN, None, NAN),
        (None, None, None),
    ],
)
def test_the_greater_of_two(
    one: float | None, other: float | None, both: float | None
) -> None:
    """NaN over infinity over numbers over nothing."""
    found = merge_steps(step(one, 5.0, number=3), step(other, 4.0, number=4))

    assert found.absent.tolist() == [both is None, False]
    np.testing.assert_array_equal(found.norms, np.array([both, 5.0], np.float32))
    assert (found.number, found.time) == (4, pytest.approx(0.4))


def test_raw_norms_are_kept() -> None:
    """Where one step was clipped and the other not, its norms are its raw ones too."""
    clipped = step(1.0, None, raw=np.array([7.0, NAN], np.float32), scale=2.0)
    plain = step(3.0, 4.0, scale=8.0)

    for found in merge_steps(clipped, plain), merge_steps(plain, clipped):
        assert found.norms.tolist() == [3.0, 4.0]
        assert found.raw is not None
        assert found.raw.tolist() == [7.0, 4.0]
    assert merge_steps(clipped, plain).scale == 8.0
    assert merge_steps(plain, plain).raw is None


def test_a_skipped_step_hides_nothing() -> None:
    """What the scaler threw away has no part in what was not; NaN of that stays."""
    thrown = step(INF, NAN, 9.0, raw=np.array([INF, NAN, 99.0], np.float32), skipped=True)
    kept = step(1.0, 2.0, NAN, number=1, values={"loss": 3.0})

    for found in merge_steps(thrown, kept), merge_steps(kept, replace(thrown, number=1)):
        assert not found.skipped
        assert found.number == 1
        assert found.raw is None
        assert found.values == {"loss": 3.0}
        np.testing.assert_array_equal(found.norms, kept.norms)
    both = merge_steps(thrown, replace(thrown, norms=np.ones(3, np.float32)))
    assert both.skipped
    np.testing.assert_array_equal(both.norms, np.array([INF, NAN, 9.0], np.float32))


norm = st.one_of(st.none(), st.floats(0, width=32), st.just(NAN))
rows = st.lists(st.tuples(norm, norm, norm, st.booleans()), min_size=1, max_size=20)


@given(rows)
def test_the_order_does_not_matter(rows: list[tuple[float | None, ...]]) -> None:
    """Of thousands, one is heard wherever it was, if it was not skipped, or all were."""
    steps = [
        replace(made, skipped=skipped)
        for made, (*_, skipped) in zip(make_run([[*row[:3]] for row in rows]).steps, rows)
    ]
    forward, backward = reduce(merge_steps, steps), reduce(merge_steps, steps[::-1])

    np.testing.assert_array_equal(forward.norms, backward.norms)
    np.testing.assert_array_equal(forward.absent, backward.absent)
    assert forward.skipped == backward.skipped == all(row[3] for row in rows)
    columns = zip(*[row[:3] for row in rows if forward.skipped or not row[3]])
    for found, column in zip(forward.norms, columns):
        there = [norm for norm in column if norm is not None]
        wanted = max((NAN if np.isnan(n) else n for n in there), default=NAN)
        if any(np.isnan(n) for n in there):
            wanted = NAN
        np.testing.assert_equal(found, np.float32(wanted))
