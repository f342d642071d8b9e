"""The clock of a picture: when a step sounds, and the texts of these times."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.pictures import draw, every
from helpers.runs import make_run
from hypothesis import given
from hypothesis import strategies as st

import gradsound
from gradsound.rendering.locate import compute_timeline
from gradsound.rendering.sound_clock import SoundClock, read_clock

NOTES = gradsound.PRESETS["notes"]


def test_times_are_those_of_the_sound() -> None:
    """The clock agrees with the timeline that `render` writes, for steps with gaps too."""
    run = make_run([[1.0, 2.0]] * 7)
    steps = [replace(one, number=k) for k, one in zip((3, 4, 5, 6, 20, 21, 40), run.steps)]
    run = replace(run, steps=steps)
    clock, timeline = read_clock([run], NOTES), compute_timeline(run, NOTES, None)

    for step, time in zip(clock.steps[:-1].tolist(), clock.times * 0.28):
        assert timeline.time_of(int(step)) == pytest.approx(time)
    assert clock.span == (3, 40 + 37 / 6)


def test_a_drive_of_the_tempo_moves_the_times() -> None:
    """A value that drives the tempo stretches the time of its steps."""
    drive = gradsound.Drive(value="loss", drives="tempo", low=1.0, high=2.0)
    preset = replace(NOTES, drives=(drive,))
    run = make_run([[1.0]] * 4)
    losses = [1.0, 1.0, 2.0, 2.0]
    steps = [replace(one, values={"loss": x}) for x, one in zip(losses, run.steps)]
    clock = read_clock([replace(run, steps=steps)], preset)

    np.testing.assert_allclose(np.diff(clock.times), [2.0, 2.0, 0.5, 0.5])


def test_two_runs_have_the_clock_of_all_their_steps() -> None:
    """A step that only one of two runs has takes its time, too."""
    clock = read_clock([make_run([[1.0]] * 5), every(make_run([[1.0]] * 3), 3)], NOTES)

    np.testing.assert_allclose(clock.steps[:-1], [0, 1, 2, 3, 4, 6])
    assert clock.rows == 6


@given(*[st.sets(st.integers(0, 1_500), min_size=1)] * 2)
def test_counted_times_are_those_of_composed_steps(one: set[int], other: set[int]) -> None:
    """Where no drive sets the tempo, the clock is that of a drive that never moves."""
    runs = [make_run([[1.0]] * len(numbers)) for numbers in (one, other)]
    runs = [
        replace(
            run,
            steps=[replace(s, number=n) for n, s in zip(sorted(numbers), run.steps)],
        )
        for run, numbers in zip(runs, (one, other))
    ]
    idle = gradsound.Drive(value="unlogged", drives="tempo", low=0.0, high=1.0)
    counted = read_clock(runs, NOTES)
    composed = read_clock(runs, replace(NOTES, drives=(idle,)))

    assert counted.rows == composed.rows == len(one | other)
    np.testing.assert_array_equal(counted.steps, composed.steps)
    np.testing.assert_array_equal(counted.times, composed.times)


def test_a_long_run_has_few_samples() -> None:
    """The memory of the clock is bounded; between samples, time passes evenly."""
    clock = read_clock([make_run([[1.0]] * 20_000)], NOTES)

    assert len(clock.steps) < 5_000
    assert np.interp(12_345, clock.steps, clock.times) == pytest.approx(12_345)


@pytest.mark.parametrize(
    ("seconds", "first", "last"),
    [
        (0.5, "0:00.0", "0:00.5"),
        (42, "0:00", "0:40"),
        (600, "0:00", "10:00"),
        (4_000, "0:00", "1:00:00"),
        (400_000, "0:00", "108:00:00"),
    ],
)
def test_texts_are_minutes_and_hours(seconds: float, first: str, last: str) -> None:
    """At most eleven round times, in minutes and hours, each at its step."""
    clock = SoundClock(100, np.array([0.0, 100.0]), np.array([0.0, 100.0]))
    steps, texts = clock.ticks(seconds / 100)

    assert (texts[0], texts[-1]) == (first, last)
    assert 3 <= len(texts) <= 11
    assert steps[0] == 0
    assert steps[-1] <= 100


def test_texts_in_a_gap_do_not_overlap() -> None:
    """Times that lie close to each other on the axis have one text."""
    steps, times = np.array([0.0, 10.0, 10_000.0]), np.array([0.0, 900.0, 1_000.0])
    ticks, _ = SoundClock(1000, steps, times).ticks(1.0)

    assert np.diff(ticks).min() >= 500


def test_a_duration_is_that_of_the_sound() -> None:
    """With a duration, the axis of the time ends where the sound does."""
    run = make_run([[1.0]] * 2_000)
    picture = draw(run, duration=60)
    (axis,) = picture.sounds[0].child_axes[1:]  # after the colour bar
    texts = [text.get_text() for text in axis.get_xticklabels()]

    assert axis.get_xlabel() == "time in the sound"
    assert texts[0] == "0:00"
    assert texts[-1] in ("0:50", "0:55", "1:00")
