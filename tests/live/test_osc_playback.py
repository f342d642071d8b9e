"""Playback by Open Sound Control: a receiver gets the notes of the score, in time."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from helpers.osc import Received, Receiver
from helpers.runs import make_run
from helpers.scores import compose_run

import gradsound
from gradsound.live.osc_playback import LATENCY_SECONDS, OscPlayback
from gradsound.music.presets import find_preset
from gradsound.output.osc_receiver import OscReceiver
from gradsound.runs.model import Run

FAST = replace(find_preset("perone2019"), alarms=0.1)


def play(run: Run, preset: gradsound.Preset, **options: object) -> list[Received]:
    """Returns the messages of a playback until its end."""
    with Receiver() as receiver:
        sender = OscReceiver("127.0.0.1", receiver.port)
        playback = OscPlayback(run, preset, sender, live=False, **options)
        playback.play()
        assert playback.failure is None
    return receiver.messages()


def test_the_notes_of_the_score_arrive() -> None:
    """Pitches, levels and times between notes are those of the score; names come first."""
    rng = np.random.default_rng(2)
    run = make_run(rng.uniform(0.1, 9, (8, 3)).tolist(), ("a", "b", "块"))
    messages = play(run, FAST)
    score = compose_run(run, FAST)
    starts = np.concatenate([[0.0], np.cumsum(score.durations)])
    expected = [
        (starts[note["step"]] + note["onset"], *note["hertz"], note["level"][0])
        for note in score.notes
    ]

    assert [one.address for one in messages[:4]] == ["run", *["track"] * 3]
    assert messages[0].values == ("made", "perone2019", 3)
    assert [one.values for one in messages[1:4]] == [(0, "a"), (1, "b"), (2, "块")]
    notes = [one for one in messages if one.address == "note"]
    assert [one.values[0] for one in notes] == np.repeat(range(8), 3).tolist()
    received = [(one.due - notes[0].due, *one.values[4:7]) for one in notes]
    np.testing.assert_allclose(received, expected, rtol=1e-6, atol=1e-5)
    assert messages[-1].address == "end"
    assert messages[-1].values == (7,)
    assert any(one.address == "alarm" and one.values[1] == "end" for one in messages)
    assert {one.values[1] for one in messages if one.address == "alarm_sound"} == {"end"}


@pytest.mark.realtime
def test_notes_arrive_before_they_are_due() -> None:
    """A note arrives a fifth to half of a second before its time tag, and some steps."""
    messages = play(make_run([[1.0, 2.0, 3.0]] * 10), FAST)
    early = [one.due - one.arrival for one in messages if one.address == "note"]

    assert min(early) > LATENCY_SECONDS - 0.05
    assert max(early) < LATENCY_SECONDS + 0.3 + 0.2


def test_a_drone_continues_in_its_slot() -> None:
    """Each note of a drone begins at the pitch and the time at which the last one ends."""
    quick = replace(find_preset("ambient"), note_seconds=0.04, alarms=0.0)
    messages = play(make_run([[1.0], [3.0], [0.5], [None], [2.0]]), quick)
    notes = [one for one in messages if one.address == "note"]
    ends = [(one.due + one.values[3], one.values[5], one.values[7]) for one in notes]
    begins = [(one.due, one.values[4], one.values[6]) for one in notes]

    assert len(notes) == 6  # with the fade at the end
    assert {one.values[10] for one in notes} == {1}
    assert len({one.values[9] for one in notes}) == 1
    for end, begin in zip(ends, begins[1:]):
        assert begin == pytest.approx(end, abs=1e-4)


def test_keys_change_what_is_sent() -> None:
    """The volume is a factor of all levels, and a muted playback sends texts alone."""
    run = make_run([[1.0]] * 2)
    loud, soft = (
        [one.values[6] for one in play(run, FAST, volume=volume) if one.address == "note"]
        for volume in (1.0, 0.25)
    )
    assert soft == pytest.approx([0.25 * level for level in loud])

    with Receiver() as receiver:
        playback = OscPlayback(
            run, FAST, OscReceiver("127.0.0.1", receiver.port), live=False
        )
        playback.muted = True
        playback.play()
    assert {one.address for one in receiver.messages()} == {"run", "track", "alarm", "end"}


def test_stopping_ends_with_an_end() -> None:
    """The key q ends playback in the middle; the receiver hears of it, once."""
    captions: list[object] = []
    with Receiver() as receiver:
        playback = OscPlayback(
            make_run([[1.0]] * 10_000),
            FAST,
            OscReceiver("127.0.0.1", receiver.port),
            live=False,
            on_caption=captions.append,
        )
        thread = threading.Thread(target=playback.play)
        thread.start()
        while not receiver.datagrams:
            time.sleep(0.01)
        playback.stopped = True
        thread.join(5)
        assert not thread.is_alive()
    assert [one.address for one in receiver.messages()].count("end") == 1
    assert playback.step_number < 9_999


def test_captions_are_reported_all() -> None:
    """A playback reports each caption once, also those after the last sound."""
    captions: list[object] = []
    quiet = replace(FAST, alarms=0.0)
    messages = play(make_run([[1.0]] * 3 + [[np.nan]]), quiet, on_caption=captions.append)
    texts = [one.values[-1] for one in messages if one.address == "alarm"]

    assert len(texts) == 2
    assert sorted(caption.text for caption in captions) == sorted(texts)


def test_live_steps_are_merged() -> None:
    """Steps that come too fast are played as one, as on a device."""
    run = make_run([[float(k)] for k in range(1, 200)])
    with Receiver() as receiver:
        sender = OscReceiver("127.0.0.1", receiver.port)
        OscPlayback(run, FAST, sender, live=True).play()
    steps = [one.values[0] for one in receiver.messages() if one.address == "note"]

    assert steps[-1] == 198
    assert len(steps) < 20
