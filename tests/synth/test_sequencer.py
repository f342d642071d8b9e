"""The sequencer: events have the exact frames and phases of their notes."""

import numpy as np
import pytest
from helpers.scores import note, score
from hypothesis import given
from hypothesis import strategies as st

from gradsound.synth.score import SLOTS_PER_RUN, Score
from gradsound.synth.sequencer import MAX_PITCH, Sequencer

RATE = 44_100


def phase_after(event: np.void) -> int:
    """Adds up the increments of an event, one frame after another."""
    phase, increment = int(event["phase"]), int(event["increment"])
    for _ in range(int(event["count"])):
        phase += increment
        increment += 2 * int(event["glide"])
    return phase % 2**32


def test_events_have_the_fields_of_their_notes() -> None:
    """Frames are rounded; levels and controls are copied; the order stays."""
    second = note(
        (441.0, 882.0), onset=0.1, duration=0.2, level=(0.1, 0.3), depth=(0, 1), fade=0.01
    )
    events = Sequencer(RATE, 1).schedule(score(note(220.5, onset=0.5), second))

    assert events["first"].tolist() == [22_050, 4410]
    assert events["count"].tolist() == [44_100, 8820]
    assert events["fade"].tolist() == [88, 441]
    assert events["increment"].tolist() == [2**32 // 200, 2**32 // 100]
    assert events["glide"].tolist() == [0, 2**32 // 100 // (2 * 8820)]
    np.testing.assert_array_equal(events["gain"][1], np.float32([0.1, 0.3]))
    np.testing.assert_array_equal(events["controls"][1], [[0, 0], [0, 0], [0, 1]])


def test_a_note_has_at_least_one_frame() -> None:
    """The kernels divide by the number of frames."""
    events = Sequencer(RATE, 1).schedule(score(note(441.0, duration=0.0)))

    assert events["count"].tolist() == [1]


def test_pitch_is_held_below_half_the_sample_rate() -> None:
    """Both ends of a glide are held."""
    (event,) = Sequencer(RATE, 1).schedule(score(note((1e6, 2e6))))

    assert event["increment"] == int(MAX_PITCH * 2**32)
    assert event["glide"] == 0


@pytest.mark.parametrize(("channels", "pan"), [(1, (1.0, 1.0)), (2, (0.0, 1.0))])
def test_pan_needs_two_channels(channels: int, pan: tuple[float, float]) -> None:
    """On one channel, a note at the right has its full level."""
    events = Sequencer(RATE, channels).schedule(score(note(441.0, pan=1.0)))

    np.testing.assert_allclose(events["pan"], [pan], atol=1e-7)


@pytest.mark.parametrize("continues", [False, True])
def test_slots_of_two_runs_begin_alike(continues: bool) -> None:
    """A slot of the second run has start phase and noise of the first run's slot."""
    slots = [3, SLOTS_PER_RUN + 3, 4]
    notes = [note(441.0, slot=slot, continues=continues) for slot in slots]
    first, other, differs = Sequencer(RATE, 2).schedule(score(*notes))

    assert first == other
    assert first["slot"] == other["slot"] == 3
    assert first["phase"] != differs["phase"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 7, SLOTS_PER_RUN + 1]),
            st.floats(20, 20_000),
            st.floats(20, 20_000),
            st.integers(1, 50),
            st.booleans(),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_continuing_notes_continue_their_slot(
    parts: list[tuple[int, float, float, int, bool]], cut: int
) -> None:
    """A note begins at the phase at which the slot's last continuing note ended."""
    notes = [
        note((begin, end), slot=slot, duration=frames / RATE, continues=continues)
        for slot, begin, end, frames, continues in parts
    ]
    sequencer = Sequencer(RATE, 1)
    events = [
        event
        for some in (notes[:cut], notes[cut:])
        for event in sequencer.schedule(score(*some))
    ]
    ends: dict[int, int] = {}
    for (slot, *_, continues), event in zip(parts, events):
        if continues:
            assert event["phase"] == ends.get(slot, event["phase"])
            ends[slot] = phase_after(event)


def test_scores_follow_each_other_without_gap() -> None:
    """The next score begins at the last one's end, or at the present frame if later."""
    sequencer = Sequencer(RATE, 1)
    silent = score(note(441.0), duration=1 / 3)
    assert sequencer.next_start == 0.0
    assert sequencer.schedule(silent)["first"] == 0
    assert sequencer.frames_left == 14_700
    assert sequencer.schedule(silent)["first"] == 14_700
    sequencer.frame = RATE
    assert sequencer.frames_left == 0
    assert sequencer.time == sequencer.next_start == 1.0
    assert sequencer.schedule(silent)["first"] == RATE


def test_a_score_may_be_empty() -> None:
    """A step without notes has its duration."""
    sequencer = Sequencer(RATE, 2)
    empty = Score((), score().notes, np.array([0.5, 0.25]))

    assert sequencer.schedule(empty).shape == (0,)
    assert sequencer.next_start == 0.75
