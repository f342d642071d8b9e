"""The composer places alarm sounds after their steps, and attenuates notes meanwhile."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import make_run
from helpers.scores import PLAIN, compose, make_moments

from gradsound import Drive
from gradsound.alarms.thresholds import Alarm
from gradsound.music.alarm_announcer import PROGRAMS
from gradsound.music.alarm_sounds import ALARM_SOUNDS
from gradsound.music.composer import Composer

END = Alarm("end", 1, "end of the run")
TEMPO = Drive(value="loss", drives="tempo", low=0.0, high=1.0)


def test_notes_that_begin_during_an_alarm_are_attenuated() -> None:
    """The alarm begins when the notes of its step end, at any tempo."""
    norms = np.ones((80, 2))
    norms[40] = 1000
    run = make_run(norms.tolist())
    losses = np.random.default_rng(0).choice([0.0, 0.5, 1.0], 80).tolist()
    steps = [replace(s, values={"loss": loss}) for s, loss in zip(run.steps, losses)]
    preset = replace(PLAIN, alarms=0.1, drives=(TEMPO,))
    composer = Composer(run.header.layers, preset)
    score = compose(composer, make_moments(replace(run, steps=steps), preset), 0.0)
    is_alarm = score.notes["voice"] >= len(composer.voices) - len(PROGRAMS)
    begins = np.add.accumulate([0.0, *score.durations])
    onsets = begins[score.notes["step"]] + score.notes["onset"]
    ends = onsets + score.notes["duration"]
    notes, alarm = np.flatnonzero(~is_alarm), np.flatnonzero(is_alarm)
    (caption,) = composer.captions

    last_note = notes[score.notes["step"][notes] == 40][-1]
    assert onsets[alarm[0]] == pytest.approx(ends[last_note])
    assert caption.time == pytest.approx(ends[last_note])
    during = (onsets[notes] >= onsets[alarm[0]]) & (onsets[notes] < ends[alarm[-1]])
    expected = np.where(during, 0.3, 1.0) * PLAIN.level * composer.layout.gain
    np.testing.assert_allclose(score.notes["level"][notes, 0], expected)
    assert 0 < np.count_nonzero(during) < len(notes)
    assert {*score.notes["slot"][alarm]} == {4}  # tracks have 0 to 3


def test_an_alarm_sound_also_attenuates_later_calls() -> None:
    """Steps after an alarm may be composed one at a time."""
    preset = replace(PLAIN, alarms=0.1)
    composer = Composer(("a",), preset)
    (moment,) = make_moments(make_run([[1.0]]), preset)
    spike = replace(moment, alarms=(Alarm("spike", 0, "spike in a"),))
    compose(composer, [spike], 0.0)
    begins = np.arange(1, 6) * 0.21
    levels = [compose(composer, [moment], t).notes["level"][0, 0] for t in begins.tolist()]

    end = 0.07 + ALARM_SOUNDS["spike"].duration
    expected = np.where(begins < end, 0.06, 0.2) * composer.layout.gain
    np.testing.assert_allclose(levels, expected)


@pytest.mark.parametrize("texture", ["turn", "drone"])
@pytest.mark.parametrize("level", [0.0, 0.1])
def test_the_end_takes_the_fade_of_a_drone_and_the_alarm(
    texture: str, level: float
) -> None:
    """A drone fades for 0.5 s, then the end alarm sounds; neither takes other time."""
    composer = Composer(("a",), replace(PLAIN, texture=texture, alarms=level))
    compose(composer, make_moments(make_run([[1.0]]), PLAIN), 0.0)
    score = composer.finish([END], 7.0)

    fade = 0.5 if texture == "drone" else 0.0
    is_alarm = score.notes["track"] < 0
    duration = ALARM_SOUNDS["end"].duration if level else 0.0
    assert score.durations[0] == pytest.approx(fade + duration)
    if level:
        assert score.notes["onset"][is_alarm].min() == pytest.approx(fade)
    assert len(score.notes[~is_alarm]) == (2 if texture == "drone" else 0)
    assert not score.notes["level"][~is_alarm, 1].any()
    assert [caption.time for caption in composer.captions] == [pytest.approx(7.0 + fade)]


def test_a_silent_drone_needs_no_fade() -> None:
    """A drone that has not begun ends at once."""
    composer = Composer(("a",), replace(PLAIN, texture="drone", alarms=0.0))
    score = composer.finish([END], 7.0)

    assert (score.durations.tolist(), len(score.notes)) == ([0.0], 0)
