"""The timeline finds the step of a time, and the time of a step."""

import numpy as np
import pytest

from gradsound.music.moments import Moment
from gradsound.music.textures import lay_out
from gradsound.music.timeline import Position, Timeline
from gradsound.runs.step import Step

LAYOUT = lay_out("turn", 2, 0.25, 0.5)  # 1 s a step


def moment(first: int, last: int) -> Moment:
    return Moment(first, Step(last, 0.0, np.ones(2, np.float32), np.zeros(2, bool)))


def timeline(*moments: tuple[int, int, float, float]) -> Timeline:
    """Returns the timeline of moments: first and last step, begin and duration."""
    run_timeline = Timeline.for_layout(("a", "b"), LAYOUT)
    for first, last, begin, duration in moments:
        run_timeline.add([moment(first, last)], [begin], [duration])
    return run_timeline


def test_a_timeline_without_steps_has_no_bounds() -> None:
    """No time has a step, and no step has a time."""
    empty = timeline()

    assert empty.position_at(0.0) is None
    assert empty.time_of(0) is None
    with pytest.raises(ValueError, match="there are no steps"):
        _ = empty.bounds


def test_times_before_and_after_all_steps_have_none() -> None:
    """Steps before the first and after the last have no time."""
    run_timeline = timeline((5, 5, 1.0, 1.0), (6, 6, 2.0, 1.0))

    assert run_timeline.bounds == (5, 6, 3.0)
    assert [run_timeline.position_at(time) for time in (0.99, 3.0)] == [None, None]
    assert [run_timeline.time_of(step) for step in (4, 5, 6, 7)] == [None, 1.0, 2.0, None]


def test_tracks_sound_for_their_notes() -> None:
    """In a step of twice the usual duration, onsets and notes take twice the time."""
    run_timeline = timeline((0, 0, 0.0, 1.0), (1, 1, 1.0, 2.0))
    tracks = [
        run_timeline.position_at(time).tracks for time in (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)
    ]

    assert tracks == [("a",), ("b",), (), ("a",), ("b",), ()]


def test_a_gap_belongs_to_the_step_before() -> None:
    """Between two stretches, the position is the last step of the earlier one."""
    run_timeline = timeline((0, 0, 0.0, 1.0), (1, 1, 1.0, 1.0), (2, 2, 5.0, 1.0))

    assert run_timeline.position_at(4.0) == Position(1, 1, ())
    assert run_timeline.position_at(5.0) == Position(2, 2, ("a",))


def test_merged_steps_share_a_time() -> None:
    """A moment of four steps and 2 s has one time; a step that is missing has none."""
    run_timeline = timeline((0, 3, 0.0, 2.0), (4, 7, 2.0, 2.0), (8, 11, 4.0, 2.0))
    assert run_timeline.bounds == (0, 11, 6.0)
    assert run_timeline.position_at(2.1) == Position(4, 7, ("a",))
    assert run_timeline.position_at(4.6) == Position(8, 11, ("b",))
    assert [run_timeline.time_of(step) for step in (3, 4, 7, 8)] == [0.0, 2.0, 2.0, 4.0]

    run_timeline = timeline((0, 3, 0.0, 2.0), (20, 23, 2.0, 2.0))
    assert [run_timeline.time_of(step) for step in (3, 4, 19, 20)] == [0.0, None, None, 2.0]


def test_even_moments_are_one_stretch() -> None:
    """10,000 moments of one duration take a few numbers; a changed one begins a new."""
    moments = [moment(k, k) for k in range(10_000)]
    durations = np.full(10_000, 1 / 3)
    durations[5_000] = 2 / 3
    run_timeline = Timeline.for_layout(("a", "b"), LAYOUT)
    run_timeline.add(moments, np.add.accumulate([1.0, *durations])[:-1], durations)

    assert len(run_timeline.to_data()["stretches"]) == 3
    assert run_timeline.time_of(9_999) == pytest.approx(1 + 10_000 / 3)
    assert Timeline.from_data(run_timeline.to_data()) == run_timeline
