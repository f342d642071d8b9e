"""The merging backlog: many moments become one, as if merged one after another."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest

from gradsound.live.backlog import MergingBacklog
from gradsound.music.moments import Moment, merge_moments
from gradsound.runs.step import Step


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 200])
def test_moments_are_merged_as_one_after_another(count: int) -> None:
    """However many wait, the largest norms, the first number and the last step remain."""
    random, backlog, moments = np.random.default_rng(count), MergingBacklog(), []
    for number in range(count):
        norms = random.lognormal(size=3).astype(np.float32)
        absent = random.random(3) < 0.2
        norms[absent] = np.nan
        skipped = bool(random.random() < 0.3)
        step = Step(number, 0.1 * number, norms, absent, skipped=skipped)
        moments.append(Moment(number, step))
        assert backlog.put(moments[-1])
    expected, merged = reduce(merge_moments, moments), backlog.pop()

    assert backlog.empty()
    assert backlog.pop() is None
    assert (merged.first, merged.step.number) == (expected.first, count - 1)
    assert merged.step.skipped == expected.step.skipped
    np.testing.assert_array_equal(merged.step.norms, expected.step.norms)
    np.testing.assert_array_equal(merged.step.absent, expected.step.absent)
