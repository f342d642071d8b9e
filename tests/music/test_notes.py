"""The norms of a step become notes: in turn, as intervals, as clangs, or not at all."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import make_run
from helpers.scores import PLAIN, compose, compose_run, make_moments

from gradsound import PRESETS, Drive, Preset
from gradsound.music.composer import Composer
from gradsound.synth.score import Score
from gradsound.synth.voices.program import CONTROLS

IN_TURN = pytest.mark.parametrize("preset", [PRESETS["notes"], PRESETS["perone2019"]])
EACH = pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))


def score(row: list[float | None], preset: Preset) -> Score:
    return compose_run(make_run([row]), preset)


@IN_TURN
def test_bands_sound_in_turn(preset: Preset) -> None:
    """Each band has one note, which begins at the end of the last; then there is a rest."""
    turn_score = score([1 / 3, 2 / 3, 5 / 3], preset)
    (duration,) = turn_score.durations

    np.testing.assert_allclose(
        turn_score.notes["onset"], np.arange(3) * preset.note_seconds, rtol=1e-12
    )
    assert set(turn_score.notes["duration"]) == {preset.note_seconds}
    names = [turn_score.voices[k].name for k in turn_score.notes["voice"]]
    voices = preset.voice if isinstance(preset.voice, tuple) else (preset.voice,) * 3
    assert names == [*voices[:3]]
    np.testing.assert_allclose(
        duration, 3 * preset.note_seconds + preset.rest_seconds, rtol=1e-12
    )


@EACH
def test_nonfinite_norms_are_clangs(preset: Preset) -> None:
    """NaN and infinity have a voice of their own, at two pitches."""
    clang_score = score([1 / 3, np.nan, np.inf], preset)
    clangs = [
        k for k in clang_score.notes["voice"] if clang_score.voices[k].name == "clang"
    ]
    hertz = clang_score.notes["hertz"][np.isin(clang_score.notes["voice"], clangs), 0]

    if preset.texture != "none":
        assert sorted({*hertz} - {88.0}) == [44.0, 176.0]  # the alarm's clang is at 88 Hz


@IN_TURN
def test_a_layer_without_gradient_leaves_a_gap(preset: Preset) -> None:
    """Its time stays silent, so that the other bands keep their onsets."""
    with_gap, whole = score([None, 1 / 3], preset), score([0.0, 1 / 3], preset)

    np.testing.assert_array_equal(with_gap.notes, whole.notes[1:])
    np.testing.assert_array_equal(with_gap.durations, whole.durations)


def test_a_running_baseline_sounds_changes() -> None:
    """Two layers with steady norms of any size have one pitch; a leap is an interval."""
    rows = [[1.0, 1000.0]] * 50 + [[10.0, 1000.0]]
    preset = replace(PRESETS["notes"], baseline="running", register=0.0, alarms=0.0)
    hertz = compose_run(make_run(rows), preset).notes["hertz"][:, 0].reshape(-1, 2)

    np.testing.assert_allclose(hertz[:50], 261.6, rtol=1e-6)
    np.testing.assert_allclose(hertz[50], [523.2, 261.6], rtol=1e-6)


def test_a_clipped_norm_is_an_interval() -> None:
    """The norms before and after clipping sound at once; equal norms are one note."""
    run = make_run([[1.0, 2.0]])
    (step,) = run.steps
    clipped = replace(step, raw=np.array([10.0, 2.0], np.float32))
    notes = compose_run(replace(run, steps=[clipped]), PRESETS["notes"]).notes

    np.testing.assert_allclose(notes["hertz"][notes["onset"] == 0, 0], [261.6, 523.2])
    assert np.count_nonzero(notes["onset"] > 0) == 1


def test_the_norm_before_clipping_is_softer() -> None:
    """It has 0.7 of the level, and a slot of its own, in a chord and in a drone."""
    run = make_run([[1.0, 2.0]])
    (step,) = run.steps
    clipped = replace(run, steps=[replace(step, raw=np.array([10.0, 20.0], np.float32))])
    for texture in ("chord", "drone"):
        preset = replace(PLAIN, texture=texture)
        notes = compose_run(clipped, preset).notes

        np.testing.assert_array_equal(notes["slot"], [0, 1, 2, 3])
        np.testing.assert_allclose(notes["hertz"][2:, 1], 2 * notes["hertz"][:2, 1])
        np.testing.assert_allclose(notes["level"][2:, 1], 0.7 * notes["level"][:2, 1])
        np.testing.assert_allclose(notes["level"][0, 1], PLAIN.level / np.sqrt(2))


def test_a_clang_stands_out_of_a_drone() -> None:
    """It has 1.5 times the level of a drone, with fades, and the drone falls silent."""
    preset = replace(PLAIN, texture="drone")
    score = compose_run(make_run([[np.nan]]), preset)
    *drone, clang = score.notes

    assert [note["level"][1] for note in drone] == [0, 0]
    assert clang["level"].tolist() == [1.5 * PLAIN.level] * 2
    assert (clang["duration"], clang["fade"]) == (score.durations[0], PLAIN.fade_seconds)


def test_a_fade_takes_half_of_a_short_note_at_most() -> None:
    """A tempo makes notes shorter than two fades."""
    tempo = Drive(value="loss", drives="tempo", low=0.0, high=1.0)
    preset = replace(PLAIN, note_seconds=0.1, fade_seconds=0.05, drives=(tempo,))
    run = make_run([[1.0, 2.0]] * 2)
    steps = [replace(s, values={"loss": float(s.number)}) for s in run.steps]
    notes = compose_run(replace(run, steps=steps), preset).notes

    np.testing.assert_allclose(notes["duration"], [0.2, 0.2, 0.05, 0.05])
    np.testing.assert_allclose(notes["fade"], [0.05, 0.05, 0.025, 0.025])
    np.testing.assert_allclose(notes["onset"], [0, 0.2, 0, 0.05])


def test_tracks_are_spread_from_left_to_right() -> None:
    """The control depth goes from 0 to 1 alike; a single track is in the middle."""
    preset = replace(PLAIN, spread=0.7)
    notes = compose_run(make_run([[1.0, 2.0, 3.0]]), preset).notes
    (single,) = compose_run(make_run([[1.0]]), preset).notes
    depth = CONTROLS.index("depth")

    np.testing.assert_allclose(notes["pan"], [-0.7, 0, 0.7])
    np.testing.assert_allclose(notes["controls"][:, depth, 0], [0, 0.5, 1])
    assert (single["pan"], single["controls"][depth, 0]) == (0, 0)


def test_notes_in_turn_share_a_slot() -> None:
    """Only simultaneous notes need start phases that differ, and are attenuated."""
    notes = compose_run(make_run([[1.0, 2.0, 3.0, 4.0]]), PLAIN).notes

    np.testing.assert_array_equal(notes["slot"], 0)
    np.testing.assert_array_equal(notes["level"], PLAIN.level)


@pytest.mark.parametrize("texture", ["turn", "drone"])
def test_only_a_drone_sounds_between_moments(texture: str) -> None:
    """It holds its pitch, or fades to silence."""
    composer = Composer(("a",), replace(PLAIN, texture=texture))
    moments = make_moments(make_run([[1.0], [10.0]]), PLAIN)
    compose(composer, moments, 0.0)
    continued, faded, silent = (composer.hold(0.25, silent=s) for s in (False, True, False))

    assert [score.durations.tolist() for score in (continued, faded, silent)] == [
        [0.25]
    ] * 3
    if texture == "turn":
        assert not any(len(score.notes) for score in (continued, faded, silent))
    else:
        notes = [score.notes[0] for score in (continued, faded, silent)]
        assert [note["hertz"].tolist() for note in notes] == [[880.0, 880.0]] * 3
        levels = [note["level"].tolist() for note in notes]
        assert levels == [[0.2, 0.2], [0.2, 0.0], [0.0, 0.0]]
        assert all(note["continues"] and note["duration"] == 0.25 for note in notes)


def test_a_drone_stays_at_its_pitch_while_it_fades_out() -> None:
    """A layer that loses its gradient falls silent without a glide."""
    preset = replace(PRESETS["ambient"], alarms=0.0, clipping=False)
    notes = compose_run(make_run([[10.0], [None], [None], [1.0]]), preset).notes
    notes = notes[: len(notes) // 2]  # the other half are the norms before clipping

    np.testing.assert_allclose(notes["hertz"][:, 1], [261.6, 261.6, 261.6, 130.8])
    assert (notes["level"][:, 1] > 0).tolist() == [True, False, False, True]
    np.testing.assert_array_equal(notes["hertz"][1:, 0], notes["hertz"][:-1, 1])
    np.testing.assert_array_equal(notes["level"][1:, 0], notes["level"][:-1, 1])


def test_a_skipped_step_has_an_alarm_and_no_clang() -> None:
    """A preset without alarm sounds has the clang instead."""
    run = make_run([[np.inf, 2.0]])
    (step,) = run.steps
    skipped = replace(run, steps=[replace(step, skipped=True)])
    run_score = compose_run(skipped, PRESETS["notes"])
    names = [run_score.voices[k].name for k in run_score.notes["voice"]]

    assert names == ["square", "bell", "bell"]  # the finite norm, then the alarm
    run_score = compose_run(skipped, PRESETS["perone2019"])
    assert "clang" in {run_score.voices[k].name for k in run_score.notes["voice"]}
