"""The run detector reports stalls, skipped steps, plateaus and the end of a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.alarms import (
    LIMITS,
    change,
    detect,
    header_of,
    healthy_norms,
    kinds,
    steps_of,
    with_intervals,
    with_values,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Alarm, Thresholds
from gradsound.runs.step import Step
from gradsound.runs.step_block import make_block
from gradsound.runs.step_stream import make_blocks


def test_skipped_steps_have_no_other_alarm() -> None:
    """The first and the tenth in a row are reported, with the layer and the loss scale."""
    steps = steps_of(healthy_norms())
    nonfinite = np.array([1, np.inf, np.nan], np.float32)
    for number in range(40, 60):
        steps = change(steps, number, skipped=True, norms=nonfinite, loss_scale=2.0**16)
    text = "skipped by the scaler, not finite in layer1 (and 1 more), scale 65536"
    layers = ("layer1", "layer2")

    assert detect(steps) == [
        Alarm("skipped", 40, text, layers),
        Alarm("skipped", 49, f"10 steps on end {text}", layers),
    ]


@pytest.mark.parametrize(
    ("norms", "where"),
    [
        ([np.nan, np.inf, np.nan], "all 3 layers"),
        ([np.nan, None, np.inf], "all 2 layers"),
        ([np.nan, 1, np.inf], "layer0 (and 1 more)"),
        ([None, np.nan, None], "layer1"),
    ],
)
def test_where_a_skipped_step_is_not_finite(norms: list[float | None], where: str) -> None:
    """One layer has its name, several are counted, and all of them are all."""
    absent = np.array([norm is None for norm in norms])
    step = Step(7, 0.5, np.array(norms, np.float32), absent, skipped=True)
    (alarm,) = detect([step])

    assert alarm.text == f"skipped by the scaler, not finite in {where}"


def test_a_step_that_the_training_throws_away_is_told() -> None:
    """Its norms from before clipping raise no other alarm."""
    huge = np.array([1, 5e4, 1], np.float32)
    steps = change(steps_of(healthy_norms()), 50, norms=huge, skipped=True, discarded=True)

    assert detect(steps) == [Alarm("skipped", 50, "thrown away by the training")]


def test_long_streaks_of_skipped_steps_are_reported_again() -> None:
    """The alarm comes at the first, the 10th, 100th, 1,000th and 10,000th skipped step."""
    norms, absent = np.ones(1, np.float32), np.zeros(1, bool)
    skipped = [Step(k, k / 100, norms, absent, skipped=True) for k in range(11_000)]
    numbers = [0, 9, 99, 999, 9_999]
    assert kinds(skipped) == [("skipped", number) for number in numbers]

    texts = [alarm.text for alarm in detect(skipped)]
    assert texts[0] == "skipped by the scaler"
    assert texts[3] == "1,000 steps on end skipped by the scaler"
    interrupted = change(skipped[:20], 5, skipped=False)
    assert kinds(interrupted) == [("skipped", 0), ("skipped", 6), ("skipped", 15)]


def steps_at(pauses: dict[int, float], count: int = 100) -> list[Step]:
    """Returns ten steps a second, with a pause of so many seconds before some."""
    intervals = np.full(count, 0.1)
    for step, seconds in pauses.items():
        intervals[step] = seconds
    times = np.cumsum(intervals).tolist()
    steps = steps_of(healthy_norms(count))
    return [replace(step, time=time) for step, time in zip(steps, times)]


def test_a_stall_is_reported_with_its_duration() -> None:
    """It lasts 20 intervals and 2 s or longer, and twice as long as the last one."""
    (alarm,) = detect(steps_at({50: 3.0}))

    assert (alarm.kind, alarm.step) == ("stall", 50)
    assert alarm.text == "no step before, for 3.0 s, 30 x the usual"
    assert not detect(steps_at({50: 1.9}))
    stalls = {40: 3.0, 60: 5.9, 80: 6.1}
    assert kinds(steps_at(stalls)) == [("stall", 40), ("stall", 80)]
    assert not detect([replace(step, time=9 * step.time) for step in steps_at({})])


def test_a_current_stall_is_reported_once() -> None:
    """The next step ends it."""
    detector = RunDetector(header_of("a", "b", "c"), LIMITS)
    steps = steps_at({60: 30.0})
    detector.detect(make_block(steps[:60]))

    assert detector.detect_stall(1.9) is None
    assert not detector.stalled
    stall = Alarm("stall", 59, "no step for 2.1 s, 21 x the usual", persists=True)
    assert detector.detect_stall(2.1) == stall
    assert detector.stalled
    assert detector.detect_stall(5.0) is None
    text = "steps again, after 30.0 s"
    recovery = Alarm("recovery", 60, text, resolves="stall")
    assert detector.detect(make_block(steps[60:61])) == [(recovery,)]
    assert not detector.stalled


def test_a_stall_needs_sixteen_intervals() -> None:
    """Fewer intervals have no meaningful median."""
    assert not detect(steps_at({16: 3.0}))
    assert kinds(steps_at({17: 3.0})) == [("stall", 17)]


def test_the_limits_of_a_stall_are_exact() -> None:
    """It lasts ``stall_seconds`` or longer, and longer than ``stall`` intervals."""
    steps = [replace(s, time=s.number / 8) for s in steps_of(healthy_norms(40))]
    detectors = [
        RunDetector(header_of("a", "b", "c"), replace(LIMITS, stall=stall))
        for stall in (1.0, 16.0)
    ]
    for detector in detectors:
        detector.detect(make_block(steps))

    assert detectors[0].detect_stall(1.875) is None
    assert detectors[0].detect_stall(2.0) is not None
    assert detectors[1].detect_stall(2.0) is None
    assert detectors[1].detect_stall(2.125) is not None


def test_a_stall_after_steps_of_one_time_is_reported() -> None:
    """A median interval of 0 counts as a microsecond."""
    times = [0.0] * 50 + [3.0] * 50
    steps = [replace(s, time=time) for s, time in zip(steps_of(healthy_norms()), times)]
    (alarm,) = detect(steps)

    assert (alarm.kind, alarm.step) == ("stall", 50)
    assert alarm.text == "no step before, for 3.0 s, 3,000,000 x the usual"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 steps"),
        (1, "1 step"),
        (2, "2 steps in 0.3 s"),
        (1200, "1,200 steps in 6 min 40 s"),
    ],
)
def test_the_end_alarm_has_the_size_of_the_run(count: int, text: str) -> None:
    """It counts steps and seconds; a log without a clock has no seconds."""
    detector = RunDetector(header_of("layer0"), LIMITS)
    for block in make_blocks(steps_of(np.ones((count, 1)))):
        detector.detect(block)

    assert detector.end_alarm() == Alarm("end", count - 1, f"end of the run: {text}")
    assert (detector.step_count, detector.layer_count) == (count, 1)


def test_the_alarms_of_a_step_are_in_one_order() -> None:
    """First come those of its time, its loss, and its skip; then those of its norms.

    Each step has its own, and the norms of the skipped one mean nothing.
    """
    steps = with_values(steps_at({50: 3.0}, 60), loss=[*[1.0] * 50, np.nan, *[1.0] * 9])
    nan = np.array([1, np.nan, 1], np.float32)
    steps = change(change(steps, 49, skipped=True, norms=nan), 50, norms=nan)
    found = RunDetector(header_of("a", "b", "c"), LIMITS).detect(make_block(steps))

    assert {k: [a.text for a in alarms] for k, alarms in enumerate(found) if alarms} == {
        49: ["skipped by the scaler, not finite in b"],
        50: ["no step before, for 3.0 s, 30 x the usual", "the loss is NaN", "NaN in b"],
        53: ["the loss is finite again: 1", "finite again: b"],
    }


@pytest.mark.parametrize(
    ("logged", "stalls"), [(48, [("stall", 50)]), (49, []), (50, []), (51, [("stall", 50)])]
)
def test_an_evaluation_is_before_its_step_or_after_the_one_before(
    logged: int, stalls: list[tuple[str, int]]
) -> None:
    """Some trainers log its loss with the step before the pause, some with that after."""
    losses = [1.0 if k == logged else np.nan for k in range(60)]

    assert kinds(with_values(steps_at({50: 3.0}, 60), eval_loss=losses)) == stalls


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(0, 10**6))
def test_alarms_do_not_depend_on_the_steps_per_call(block: int, seed: int) -> None:
    """A run with faults of all kinds has the same alarms in blocks of any size."""
    rng = np.random.default_rng(seed)
    norms = 10 ** rng.normal(0, 2, (120, 3))
    norms[rng.random(norms.shape) < 0.05] = np.nan
    norms[rng.random(norms.shape) < 0.05] = np.inf
    norms[60:, rng.integers(3)] = 0
    steps = [
        replace(s, skipped=bool(rng.random() < 0.1), time=s.number * rng.uniform(0.1, 4))
        for s in steps_of(norms)
    ]
    at_once, in_blocks = (RunDetector(header_of("a", "b", "c"), LIMITS) for _ in range(2))
    alarms = [
        of_step
        for k in range(0, len(steps), block)
        for of_step in in_blocks.detect(make_block(steps[k : k + block]))
    ]

    assert at_once.detect(make_block(steps)) == alarms


def test_alarms_are_at_the_step_that_they_name() -> None:
    """A step that is slow, is late, or has a spike or a high loss has its alarms itself."""
    seconds = np.full(400, 40.0)
    seconds[150:] = 80
    seconds[100] = 4000
    norms, losses = np.ones((400, 1)), np.full(400, 2.0)
    norms[60:62], losses[250:255] = 3000, 200
    steps = with_values(with_intervals(seconds, norms), loss=losses)
    found = RunDetector(header_of("a"), LIMITS).detect(make_block(steps))

    assert {"slow", "stall", "spike", "loss"} <= {a.kind for row in found for a in row}
    assert all(a.step == row for row, alarms in enumerate(found) for a in alarms)


@pytest.mark.parametrize("name", Thresholds.__slots__)
def test_thresholds_must_be_above_0(name: str) -> None:
    """The message has all thresholds."""
    assert getattr(Thresholds(**{name: 1e-9}), name) == 1e-9
    message = rf"^every threshold must be above 0, got Thresholds\(.*\b{name}=0[,)]"
    with pytest.raises(ValueError, match=message):
        Thresholds(**{name: 0})
