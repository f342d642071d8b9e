"""A merged step keeps the largest norm of each layer, and hides no fault."""

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
from helpers.runs import make_run
from hypothesis import given
from hypothesis import strategies as st

from gradsound.alarms.thresholds import Alarm
from gradsound.music.moments import (
    Moment,
    merge_groups,
    merge_moments,
    merge_steps,
    missing_moment,
)
from gradsound.runs.step import Step
from gradsound.runs.step_block import make_block

INF, NAN = float("inf"), float("nan")


def step(*norms: float | None, number: int = 0, **more: object) -> Step:
    """Returns a step with the norms of its layers; None is no gradient."""
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
def test_a_merged_step_has_the_larger_norm(
    one: float | None, other: float | None, both: float | None
) -> None:
    """NaN counts as larger than infinity, and any norm as larger than no gradient."""
    merged = merge_steps(step(one, 5.0, number=3), step(other, 4.0, number=4))

    assert merged.absent.tolist() == [both is None, False]
    np.testing.assert_array_equal(merged.norms, np.array([both, 5.0], np.float32))
    assert (merged.number, merged.time) == (4, pytest.approx(0.4))


def test_a_merged_step_has_norms_before_clipping_if_either_has() -> None:
    """The raw norms of a step without clipping are its norms."""
    clipped = step(1.0, None, raw=np.array([7.0, NAN], np.float32), loss_scale=2.0)
    plain = step(3.0, 4.0, loss_scale=8.0)

    for merged in merge_steps(clipped, plain), merge_steps(plain, clipped):
        assert merged.norms.tolist() == [3.0, 4.0]
        assert merged.raw is not None
        assert merged.raw.tolist() == [7.0, 4.0]
    assert merge_steps(clipped, plain).loss_scale == 8.0
    assert merge_steps(plain, plain).raw is None


def test_a_skipped_step_hides_no_norm_of_the_other() -> None:
    """Norms of a skipped step count only if both steps were skipped."""
    raw = np.array([INF, NAN, 99.0], np.float32)
    skipped = step(INF, NAN, 9.0, raw=raw, skipped=True)
    applied = step(1.0, 2.0, NAN, number=1, values={"loss": 3.0})

    for merged in (
        merge_steps(skipped, applied),
        merge_steps(applied, replace(skipped, number=1)),
    ):
        assert not merged.skipped
        assert merged.number == 1
        assert merged.raw is None
        assert merged.values == {"loss": 3.0}
        np.testing.assert_array_equal(merged.norms, applied.norms)
    both = merge_steps(skipped, replace(skipped, norms=np.ones(3, np.float32)))
    assert both.skipped
    np.testing.assert_array_equal(both.norms, np.array([INF, NAN, 9.0], np.float32))


norm = st.one_of(st.none(), st.floats(0, width=32), st.just(NAN))
rows = st.lists(st.tuples(norm, norm, norm, st.booleans()), min_size=1, max_size=20)


@given(rows)
def test_the_order_of_merged_steps_does_not_matter(
    rows: list[tuple[float | None, ...]],
) -> None:
    """The largest norm of any number of applied steps stays, wherever it is."""
    steps = [
        replace(step, skipped=skipped)
        for step, (*_, skipped) in zip(make_run([[*row[:3]] for row in rows]).steps, rows)
    ]
    forward, backward = reduce(merge_steps, steps), reduce(merge_steps, steps[::-1])

    np.testing.assert_array_equal(forward.norms, backward.norms)
    np.testing.assert_array_equal(forward.absent, backward.absent)
    assert forward.skipped == backward.skipped == all(row[3] for row in rows)
    columns = zip(*[row[:3] for row in rows if forward.skipped or not row[3]])
    for merged, column in zip(forward.norms, columns):
        present = [norm for norm in column if norm is not None]
        expected = max(present, default=NAN)
        if any(np.isnan(norm) for norm in present):
            expected = NAN
        np.testing.assert_equal(merged, np.float32(expected))


@pytest.mark.parametrize(
    ("earlier", "later", "merged"),
    [(1.0, 2.0, 2.0), (NAN, INF, NAN), (INF, 2.0, INF), (INF, NAN, NAN), (-INF, INF, INF)],
)
def test_a_merged_step_has_the_later_value(
    earlier: float, later: float, merged: float
) -> None:
    """NaN stays, and infinity stays before numbers; a name may be in one step only."""
    before = step(1.0, values={"loss": earlier, "epoch": 1.0})
    after = step(1.0, number=1, values={"loss": later, "rate": 0.5})

    values = merge_steps(before, after).values
    assert values == {"loss": pytest.approx(merged, nan_ok=True), "epoch": 1.0, "rate": 0.5}


def test_a_merged_step_has_the_larger_signal() -> None:
    """A layer or a step without one does not count; a name may be in one step only."""
    ratios, snrs = np.float32([[0.1, NAN, 0.3], [0.2, 0.4, NAN]]), np.float32([0.5] * 3)
    one = step(1.0, 1.0, 1.0, signals={"update_ratio": ratios[0]})
    other = step(1.0, 1.0, 1.0, number=1, signals={"update_ratio": ratios[1], "snr": snrs})

    for merged in merge_steps(one, other), merge_steps(other, replace(one, number=2)):
        assert sorted(merged.signals) == ["snr", "update_ratio"]
        expected = np.float32([0.2, 0.4, 0.3])
        np.testing.assert_array_equal(merged.signals["update_ratio"], expected)
        np.testing.assert_array_equal(merged.signals["snr"], snrs)


def test_a_merged_moment_has_all_alarms() -> None:
    """It spans the steps of both, with the alarms in their order."""
    spike, dead = Alarm("spike", 3, "spike in a"), Alarm("dead", 4, "dead layer: a")
    earlier = Moment(2, step(1.0, number=3), (spike,))
    later = Moment(4, step(2.0, number=4), (dead,))
    merged = merge_moments(earlier, later)

    assert (merged.first, merged.step.number) == (2, 4)
    assert merged.alarms == (spike, dead)
    assert merged.step.norms.tolist() == [2.0]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_a_merged_moment_is_present_if_either_is(first: bool, second: bool) -> None:
    """A missing step has no norm in any layer."""
    missing, measured = missing_moment(0, 1), Moment(0, step(1.0))
    merged = merge_moments(measured if first else missing, measured if second else missing)

    assert merged.present == (first or second)
    assert merged.step.absent.tolist() == [not (first or second)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_discarded_step_does_not_mark_another(order: tuple[int, int]) -> None:
    """A merged step is discarded only if both are; the norms are the applied ones."""
    steps = [step(9.0, skipped=True, discarded=True), step(1.0)]
    merged = merge_steps(*(steps[k] for k in order))

    assert not merged.discarded
    assert merged.norms.tolist() == [1.0]
    assert merge_steps(steps[0], steps[0]).discarded


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_groups_are_merged_as_pairs_are(seed: int, count: int) -> None:
    """Steps that are merged at once become what they become one after the other."""
    random = np.random.default_rng(seed)
    choices = np.array([0.0, 1.0, 2.0, np.inf, np.nan], np.float32)
    steps = []
    for number in range(count):
        absent = random.random(3) < 0.3
        norms = np.where(absent, np.float32(np.nan), random.choice(choices, 3))
        skipped, clipped = random.random(2) < 0.4
        values = {n: float(random.choice(choices)) for n in "ab" if random.random() < 0.5}
        steps.append(
            Step(
                number,
                number / 2,
                norms,
                absent,
                loss_scale=8.0 if random.random() < 0.5 else None,
                skipped=bool(skipped),
                raw=norms * 2 if clipped else None,
                values=values,
                discarded=bool(skipped and random.random() < 0.5),
            )
        )
    begins = np.flatnonzero(np.append(True, random.random(count - 1) < 0.4))
    present = random.random(count) < 0.8
    merged = merge_groups(make_block(steps), [()] * count, begins, present)

    ends = [*begins[1:].tolist(), count]
    for moment, begin, end in zip(merged, begins.tolist(), ends):
        expected = reduce(merge_steps, steps[begin:end])
        assert moment.first == begin
        assert moment.present == present[begin:end].any()
        for name in ("number", "time", "loss_scale", "skipped", "discarded"):
            assert getattr(moment.step, name) == getattr(expected, name)
        np.testing.assert_array_equal(moment.step.norms, expected.norms)
        np.testing.assert_array_equal(moment.step.absent, expected.absent)
        values = dict(sorted(expected.values.items()))
        assert str(dict(sorted(moment.step.values.items()))) == str(values)
        assert (moment.step.raw is None) == (expected.raw is None)
        np.testing.assert_array_equal(moment.step.unclipped, expected.unclipped)
