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
)
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Thresholds
from gradsound.runs.model import Step


def test_skipped_steps_have_no_other_alarm() -> None:
    """The first and the tenth in a row are reported, with the layer and the loss scale."""
    steps = steps_of(healthy_norms())
    nonfinite = np.array([1, np.inf, np.nan], np.float32)
    for number in range(40, 60):
        steps = change(steps, number, skipped=True, norms=nonfinite, loss_scale=2.0**16)
    alarms = detect(steps)

    assert [(alarm.kind, alarm.step) for alarm in alarms] == [
        ("skipped", 40),
        ("skipped", 49),
    ]
    assert alarms[0].text == "skipped by the scaler, not finite in layer1, scale 65536"
    assert alarms[1].text.startswith("10 steps on end skipped")


def test_a_step_that_the_training_throws_away_is_told() -> None:
    """Its norms from before clipping raise no other alarm."""
    huge = np.array([1, 5e4, 1], np.float32)
    steps = change(steps_of(healthy_norms()), 50, norms=huge, skipped=True, discarded=True)
    (alarm,) = detect(steps)

    assert (alarm.kind, alarm.step) == ("skipped", 50)
    assert alarm.text == "thrown away by the training"


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
    detector.detect(steps[:60])

    assert detector.detect_stall(1.9) is None
    assert detector.detect_stall(2.1).text == "no step for 2.1 s, 21 x the usual"
    assert detector.detect_stall(5.0) is None
    (alarms,) = detector.detect(steps[60:61])
    assert [(a.kind, a.text) for a in alarms] == [("recovery", "steps again, after 30.0 s")]


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
        detector.detect(steps)

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
    [(1, "1 step"), (2, "2 steps in 0.3 s"), (1200, "1,200 steps in 6 min 40 s")],
)
def test_the_end_alarm_has_the_size_of_the_run(count: int, text: str) -> None:
    """It counts steps and seconds; a log without a clock has no seconds."""
    detector = RunDetector(header_of("layer0"), LIMITS)
    detector.detect(steps_of(np.ones((count, 1))))
    alarm = detector.end_alarm()

    assert (alarm.kind, alarm.step) == ("end", count - 1)
    assert alarm.text == f"end of the run: {text}"
    assert (detector.step_count, detector.layer_count) == (count, 1)


@settings(max_examples=30, deadline=None)
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
        for of_step in in_blocks.detect(steps[k : k + block])
    ]

    assert at_once.detect(steps) == alarms


def test_thresholds_must_be_above_0() -> None:
    """The message has all thresholds."""
    with pytest.raises(ValueError, match=r"above 0, got Thresholds\(spike=0"):
        Thresholds(spike=0)
