"""The announcer limits the rate of alarm sounds, and drops no alarm without a caption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import webvtt
from helpers.runs import make_run
from helpers.scores import compose, make_moments

import gradsound
from gradsound import PRESETS, Run
from gradsound.alarms.thresholds import KINDS, Alarm
from gradsound.live.conductor import Conductor
from gradsound.music.alarm_announcer import PROGRAMS, AlarmAnnouncer
from gradsound.music.alarm_sounds import ALARM_SOUNDS
from gradsound.music.composer import Composer
from gradsound.music.moments import Moment
from gradsound.synth.sequencer import Sequencer

SAMPLE_RATE = 44_100


def test_a_recurring_alarm_sounds_ever_less_often() -> None:
    """After 5, 10, 20 ... s, with the number of alarms between; 5 s again after a calm."""
    announcer = AlarmAnnouncer(0.1)
    times = []
    for second in range(200):
        alarm = Alarm("spike", second, "spike")
        _, captions = announcer.announce([alarm], float(second))
        times += [caption.time for caption in captions]
        if len(times) == 2 and captions:
            assert captions[0].text == "step 5: spike (4 more since the last)"

    assert times == [0, 5, 15, 35, 75, 155]
    assert announcer.uncaptioned_counts() == {"spike": 44}
    assert announcer.announce([Alarm("spike", 0, "")], 1000.0)[0]
    assert announcer.announce([Alarm("spike", 0, "")], 1005.5)[0]


def test_the_cooldown_has_a_maximum() -> None:
    """An alarm that never stops sounds every 320 s."""
    announcer = AlarmAnnouncer(0.1)
    alarms = [(Alarm("spike", second, "spike"), float(second)) for second in range(2000)]
    times = [time for alarm, time in alarms if announcer.announce([alarm], time)[0]]

    assert times == [0, 5, 15, 35, 75, 155, 315, 635, 955, 1275, 1595, 1915]


def dead(layer: str, step: int = 0) -> Alarm:
    return Alarm("dead", step, f"dead layer: {layer}", (layer,), persists=True)


def recovery(layer: str, step: int = 0) -> Alarm:
    text = f"gradient again in {layer}"
    return Alarm("recovery", step, text, (layer,), resolves="dead")


def announce(*alarms: tuple[float, Alarm]) -> list[tuple[float, str, bool]]:
    """Announces alarms at times within 60 s, and asks the announcer twice a second.

    Returns:
        Time and text of each caption, and whether a sound begins with it.
    """
    announcer, announced = AlarmAnnouncer(0.1), []
    for time in np.arange(0, 60, 0.5).tolist():
        new = [alarm for begin, alarm in alarms if begin == time]
        sounds, captions = announcer.announce(new, time)
        begins = [begin for _, begin in sounds]
        announced += [
            (caption.time, caption.text.partition(": ")[2], caption.time in begins)
            for caption in captions
        ]
    return announced


def test_a_persisting_alarm_sounds_after_the_cooldown() -> None:
    """A second layer dies during the cooldown, and stays dead."""
    announced = announce((1.0, dead("a")), (3.0, dead("b")))

    assert announced == [
        (1.0, "dead layer: a", True),
        (3.0, "dead layer: b", False),
        (6.0, "dead layer: b, still so", True),
    ]


def test_a_resolved_alarm_does_not_sound_after_the_cooldown() -> None:
    """A layer that is still dead does."""
    resolved = (3.0, dead("b")), (4.0, recovery("b"))
    announced = announce((1.0, dead("a")), *resolved)
    assert [text for _, text, sounds in announced if sounds] == [
        "dead layer: a",
        "gradient again in b",
    ]

    announced = announce(
        (1.0, dead("a")), *resolved, (4.5, dead("c")), (5.0, recovery("a"))
    )
    assert (6.0, "dead layer: c, still so", True) in announced
    assert not [text for _, text, _ in announced if "b, still" in text]


def test_one_sound_covers_all_persisting_layers() -> None:
    """Of many layers that die during a cooldown, each has a caption, and one a sound."""
    deaths = [(2 + k / 2, dead(f"b{k}")) for k in range(6)]
    announced = announce((1.0, dead("a")), *deaths)

    assert [(time, text) for time, text, sounds in announced if sounds] == [
        (1.0, "dead layer: a"),
        (6.0, "dead layer: b0, still so"),
    ]
    assert [text for _, text, sounds in announced if not sounds] == [
        f"dead layer: b{k}" for k in range(6)
    ]


def test_merged_steps_persist_as_the_last_one() -> None:
    """A layer that dies, recovers and dies again is dead; one that recovers is not."""
    again = [(3.0, dead("b", 1)), (3.0, recovery("b", 2)), (3.0, dead("b", 3))]
    announced = announce((1.0, dead("a")), *again)
    assert [text for _, text, _ in announced].count("dead layer: b, still so") == 1

    announced = announce((1.0, dead("a")), *again[:2])
    assert not [text for _, text, _ in announced if "still so" in text]


def test_captions_during_a_cooldown_are_one_for_each_layer() -> None:
    """200 alarms of two layers have two captions a sound, which count the other alarms."""
    announcer = AlarmAnnouncer(0.1)
    texts, sound_count = [], 0
    for second in range(200):
        layer = "ab"[second // 2 % 2]
        alarm = Alarm("skipped", second, f"in {layer}", (layer,))
        sounds, captions = announcer.announce([alarm], float(second))
        texts += [caption.text for caption in captions]
        sound_count += len(sounds)

    assert texts[:4] == [
        "step 0: in a",
        "step 2: in b (1 more since the last)",
        "step 5: in a (2 more since the last)",
        "step 6: in b",
    ]
    assert sound_count == 6
    assert len(texts) == 2 * sound_count


def test_an_alarm_after_a_recovery_has_a_caption_at_once() -> None:
    """Otherwise "gradient again" would be the last caption of a dead layer."""
    announced = announce((1.0, dead("a")), (2.0, recovery("a")), (3.0, dead("a")))

    assert [(time, text) for time, text, _ in announced] == [
        (1.0, "dead layer: a"),
        (2.15, "gradient again in a"),
        (3.0, "dead layer: a"),
        (6.0, "dead layer: a, still so"),
    ]


def failing_run() -> Run:
    """Returns a run with NaN for one step, then for good, and a spike in each layer."""
    norms = np.ones((400, 2))
    norms[100], norms[112:] = np.nan, np.nan
    norms[60], norms[62] = [1e3, 1], [1, 1e3]
    return make_run(norms.tolist(), ("enc", "dec"))


@pytest.mark.parametrize("preset", ["notes", "ambient", "alarms", "perone2019"])
@pytest.mark.parametrize("moments_at_once", [1, 7])
def test_announcements_do_not_depend_on_the_moments_per_call(
    preset: str, moments_at_once: int
) -> None:
    """Few moments at a time give the notes and captions of all moments at once."""
    results = []
    for count in (moments_at_once, 400):
        composer, notes = Composer(("enc", "dec"), PRESETS[preset]), []
        moments, end = make_moments(failing_run(), PRESETS[preset]), 0.0
        for k in range(0, len(moments), count):
            score = compose(composer, moments[k : k + count], end)
            times = np.add.accumulate([end, *score.durations])
            notes += [(times[n["step"]], *n.tolist()[1:]) for n in score.notes]
            end = float(times[-1])
        results.append((sorted(map(str, notes)), composer.captions))

    assert results[0] == results[1]
    texts = [caption.text for caption in results[0][1]]
    assert "step 112: NaN from dec down to enc, still so" in texts
    assert [text for text in texts if text.startswith("step 62: spike in dec")]
    times = [caption.time for caption in results[0][1]]
    assert times == sorted(times)


def test_a_postponed_alarm_is_rendered_and_played(tmp_path: Path) -> None:
    """The file has its sound; the file and the conductor have the same captions."""
    path = tmp_path / "x.wav"
    gradsound.render(failing_run(), path, preset="alarms")
    samples = soundfile.read(path)[0]
    conductor = Conductor(failing_run(), PRESETS["alarms"], live=False, hold=0.1)
    sequencer = Sequencer(SAMPLE_RATE, 2)
    conductor.start()
    while not conductor.finished:
        for passage in conductor.next_passages(sequencer):
            sequencer.schedule(passage.score)
        sequencer.frame += sequencer.frames_left
    captions = conductor.composer.captions
    (postponed,) = [c for c in captions if c.text.endswith("still so")]
    alarm_sound = samples[round(postponed.time * SAMPLE_RATE) :][: SAMPLE_RATE // 2]

    lines = [cue.text.splitlines() for cue in webvtt.read(path.with_suffix(".vtt"))]
    assert [caption.text for caption in captions] == [one for some in lines for one in some]
    assert np.abs(alarm_sound).max() > 0.05


def test_captions_are_in_order_of_time() -> None:
    """An alarm sound that waits for others has its caption after later epochs."""
    composer = Composer(["a", "b"], PRESETS["alarms"])
    step = make_moments(make_run([[1.0, 1.0]]), PRESETS["alarms"])[0].step
    for second in range(4):
        alarms = tuple(Alarm(kind, second, kind) for kind in KINDS[:5])
        moment = Moment(second, replace(step, values={"epoch": second}), alarms)
        composer.compose([moment], np.array([second / 2]), np.array([0.5]))
    times = [caption.time for caption in composer.captions]

    assert len(times) == 9
    assert times == sorted(times)


def test_an_observation_has_a_caption_and_no_sound() -> None:
    """It waits for no alarm sound, and has no cooldown."""
    announcer = AlarmAnnouncer(0.1)
    drift = Alarm("drift", 5, "the norm has drifted from 1 to 40")
    for time in (7.0, 7.5):
        sounds, captions = announcer.announce([drift], time)

        assert sounds == []
        assert [(one.time, one.kind, one.step) for one in captions] == [(time, "drift", 5)]
        assert captions[0].text == "step 5: the norm has drifted from 1 to 40"
        assert not captions[0].warns


def test_alarm_sounds_do_not_overlap() -> None:
    """Each begins 300 ms after the end of the last one, the most urgent first."""
    kinds = [kind for kind in KINDS if kind in ALARM_SOUNDS]
    alarms = [Alarm(kind, 0, kind) for kind in reversed(kinds)]
    sounds, captions = AlarmAnnouncer(0.1).announce(alarms, 7.0)
    begins = [begin for _, begin in sounds]
    ends = [begin + ALARM_SOUNDS[kind].duration for kind, begin in sounds]

    assert [kind for kind, _ in sounds] == kinds
    assert begins[0] == 7.0
    np.testing.assert_allclose(np.array(begins[1:]) - ends[:-1], 0.3, atol=1e-9)
    assert [caption.time for caption in captions] == begins


def test_no_alarm_sound_is_later_than_the_end_alarm() -> None:
    """Of two alarms that persist, the less urgent has no time left, and no caption."""
    dead_seconds, end_seconds = (ALARM_SOUNDS[kind].duration for kind in ("dead", "end"))
    announcer = AlarmAnnouncer(0.1, time_limit=10 + dead_seconds + 0.3 + end_seconds)
    vanishing = Alarm("vanishing", 2, "vanishing in b", ("b",), persists=True)
    announcer.announce([dead("a"), replace(vanishing, layers=("a",))], 1.0)
    announcer.announce([dead("b", 2), vanishing], 5.0)
    assert len(announcer.due(10.0)) == 2
    sounds, captions = announcer.announce([], 10.0)

    assert sounds == [("dead", 10.0)]
    assert [caption.text for caption in captions] == ["step 2: dead layer: b, still so"]
    sounds, captions = announcer.announce([Alarm("end", 3, "end of the run")], 10.1)
    assert sounds == [("end", pytest.approx(10.3 + dead_seconds))]
    assert [caption.kind for caption in captions] == ["end"]


def test_the_last_caption_counts_alarms_without_a_caption() -> None:
    """Otherwise the run would end without a trace of them."""
    composer = Composer(["a"], PRESETS["notes"])
    skipped = [Alarm("skipped", k, "skipped", ("a",)) for k in range(4)]
    composer.idle(skipped[0], 1.0)
    for k in range(1, 4):
        composer.idle(skipped[k], 1.0 + k)
    composer.finish([Alarm("end", 4, "end of the run")], 5.0)

    assert [caption.text for caption in composer.captions] == [
        "step 0: skipped",
        "step 4: end of the run",
        "not announced: 3 more of skipped",
    ]


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_notes_are_attenuated_during_an_alarm(preset) -> None:
    """The alarm sounds after its step; a preset without alarm sounds has its caption."""
    norms = np.ones((60, 2))
    norms[40] = 1000
    run = make_run(norms.tolist())
    composer = Composer(run.header.layers, preset)
    score = compose(composer, make_moments(run, preset), 0.0)
    begins = np.add.accumulate([0.0, *score.durations])
    first_alarm_voice = len(composer.voices) - len(PROGRAMS)
    is_alarm = score.notes["voice"] >= first_alarm_voice
    alarm_sound, notes = score.notes[is_alarm], score.notes[~is_alarm]
    (caption,) = composer.captions

    assert caption.text.startswith("step 40: spike in layer0, 1e+03 x its median")
    assert begins[40] <= caption.time <= begins[41]
    assert len(alarm_sound) == (2 if preset.alarms else 0)
    if preset.alarms and len(notes):
        onsets = begins[notes["step"]] + notes["onset"]
        during = (onsets >= caption.time) & (onsets < caption.time + 0.46)
        after = onsets > caption.time + 1.0
        attenuated, usual = notes["level"][during, 1], notes["level"][after, 1]
        assert attenuated.max() <= 0.31 * usual.max()
