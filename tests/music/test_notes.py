"""From norms to notes, judged by laws."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import make_run
from helpers.scores import composed
from hypothesis import given
from hypothesis import strategies as st

from gradsound import PRESETS, Preset
from gradsound.alarms.running_median import ENOUGH, MEMORY, RunningMedian
from gradsound.music.pitch import LinearPitch, LogPitch
from gradsound.music.preset_json import from_data, to_data
from gradsound.music.presets import at_speed, find_preset
from gradsound.synth.score import Score

FINITE = st.floats(min_value=0, width=32, allow_nan=False, allow_infinity=False)
IN_TURN = pytest.mark.parametrize("preset", [PRESETS["notes"], PRESETS["perone2019"]])
EACH = pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))


def score(row: list[float | None], preset: Preset) -> Score:
    return composed(make_run([row]), preset)


@EACH
@given(st.tuples(FINITE, FINITE))
def test_larger_norm_is_never_lower(preset: Preset, norms: tuple[float, float]) -> None:
    """Pitch rises with the norm, or is held."""
    low, high = preset.pitch.hertz(np.sort(norms))

    assert low <= high


@given(FINITE)
def test_notes_stay_in_range(norm: float) -> None:
    """No finite norm leaves the two bounds."""
    pitch = PRESETS["notes"].pitch
    (hertz,) = pitch.hertz(np.array([norm]))

    assert pitch.lowest * (1 - 1e-12) <= hertz <= pitch.highest * (1 + 1e-12)


def test_ten_times_the_norm_is_an_octave() -> None:
    """Twelve semitones a decade, and norm 1 of the first band is C4."""
    hertz = PRESETS["notes"].pitch.hertz(np.array([0.1, 1.0, 10.0, 100.0]))

    np.testing.assert_allclose(hertz, [130.8, 261.6, 523.2, 1046.4], rtol=1e-12)


def test_perone_is_linear() -> None:
    """200 Hz + 100 Hz x norm, as in the post of 2019."""
    hertz = PRESETS["perone2019"].pitch.hertz(np.array([0.0, 1 / 3, 7.0]))

    np.testing.assert_allclose(hertz, [200.0, 233 + 1 / 3, 900.0], rtol=1e-12)


@IN_TURN
def test_bands_sound_in_turn(preset: Preset) -> None:
    """One note a band, each where the one before ends, then the rest."""
    made = score([1 / 3, 2 / 3, 5 / 3], preset)
    (duration,) = made.durations

    np.testing.assert_allclose(
        made.notes["onset"], np.arange(3) * preset.note_seconds, rtol=1e-12
    )
    assert set(made.notes["duration"]) == {preset.note_seconds}
    names = [made.voices[k].name for k in made.notes["voice"]]
    voices = preset.voice if isinstance(preset.voice, tuple) else (preset.voice,) * 3
    assert names == [*voices[:3]]
    np.testing.assert_allclose(
        duration, 3 * preset.note_seconds + preset.rest_seconds, rtol=1e-12
    )


@EACH
def test_not_finite_is_a_clang(preset: Preset) -> None:
    """NaN and infinity have a voice of their own, and two pitches of it."""
    made = score([1 / 3, np.nan, np.inf], preset)
    clangs = [k for k in made.notes["voice"] if made.voices[k].name == "clang"]
    hertz = made.notes["hertz"][np.isin(made.notes["voice"], clangs), 0]

    if preset.texture != "none":
        assert sorted({*hertz} - {88.0}) == [44.0, 176.0]  # the alarm has the third


@IN_TURN
def test_absent_is_silent_in_its_place(preset: Preset) -> None:
    """A layer without gradient leaves its time empty, so that the others keep theirs."""
    with_gap, whole = score([None, 1 / 3], preset), score([0.0, 1 / 3], preset)

    np.testing.assert_array_equal(with_gap.notes, whole.notes[1:])
    np.testing.assert_array_equal(with_gap.durations, whole.durations)


@EACH
@pytest.mark.parametrize("speed", [1 / 3, 1.0, 7 / 3])
def test_speed_divides_times_alone(preset: Preset, speed: float) -> None:
    """Pitches, level and order stay."""
    slow, fast = (
        score([1 / 3, 2 / 3], preset),
        score([1 / 3, 2 / 3], at_speed(preset, speed)),
    )

    np.testing.assert_allclose(fast.durations * speed, slow.durations, rtol=1e-12)
    np.testing.assert_array_equal(fast.notes["hertz"], slow.notes["hertz"])


@EACH
@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf"), 1e6])
def test_impossible_speeds_are_refused(preset: Preset, speed: float) -> None:
    """The message has the value and the most there is."""
    with pytest.raises(ValueError, match=r"speed must be 0.\d+ to \d+ with preset .*, got"):
        at_speed(preset, speed)


@EACH
def test_presets_survive_json(preset: Preset) -> None:
    """A preset as plain data is the same preset."""
    assert from_data(to_data(preset)) == preset


def test_presets_can_be_copied_and_changed() -> None:
    """A changed copy is used as it is; the one that ships stays."""
    own = replace(PRESETS["notes"], name="slow", rest_seconds=1.0)

    assert find_preset(own) is own
    assert find_preset("notes").rest_seconds != 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"voice": "sinus"}, "no voice 'sinus'; did you mean 'sine'"),
        ({"note_seconds": 0.0}, "note_seconds must be 0.001 to 2.0 s, got 0.0"),
        ({"rest_seconds": -0.1}, "rest_seconds must be 0 to 2.0 s, got -0.1"),
        ({"fade_seconds": 0.05}, "fade_seconds must be 0 to half the note"),
        ({"level": 0.3}, "level must be above 0 and at most 0.2 with equal loudness, got"),
        ({"level": 0.9, "equal_loudness": False}, "0.75 without equal loudness, got 0.9"),
        ({"level": float("nan")}, "got nan"),
        ({"spread": -0.5}, "spread must be 0 to 1, got -0.5"),
        ({"texture": "chords"}, "no texture 'chords'; did you mean 'chord'"),
        ({"voice": ()}, "voice must be one or several, got none"),
        ({"voice": ("sine", "sinus")}, "no voice 'sinus'; did you mean 'sine'"),
        ({"register": 25.0}, "register must be -24 to 24 semitones, got 25.0"),
        ({"baseline": "median"}, "baseline must be fixed or running, got 'median'"),
        ({"bands": "depth"}, "bands must be 'auto', 'layers' or globs by name"),
        ({"alarms": 2.0}, "alarms must be 0 to 0.5, got 2.0"),
    ],
)
def test_wrong_presets_are_refused(change: dict[str, object], message: str) -> None:
    """A preset that cannot work is not made."""
    with pytest.raises(ValueError, match=message):
        replace(PRESETS["notes"], **change)


def test_wrong_pitches_are_refused() -> None:
    """Nor a pitch."""
    with pytest.raises(ValueError, match="need base > 0"):
        LinearPitch(base=0.0, slope=1.0)
    with pytest.raises(ValueError, match="need 0 < lowest < highest"):
        LogPitch(anchor=440.0, semitones=12.0, lowest=200.0, highest=100.0)
    with pytest.raises(ValueError, match="semitones > 0"):
        LogPitch(anchor=440.0, semitones=0.0, lowest=100.0, highest=200.0)


def test_no_preset_is_a_preset_or_a_name() -> None:
    """Anything else is told as what it is."""
    with pytest.raises(TypeError, match="preset must be a name or a Preset, got None"):
        find_preset(None)


def test_unknown_presets_get_the_nearest() -> None:
    """The message offers the name that was meant."""
    with pytest.raises(ValueError, match="no preset 'note'; did you mean 'notes'"):
        find_preset("note")


def test_a_scale_has_its_notes_alone() -> None:
    """The nearest, in order, within the bounds."""
    pitch = replace(PRESETS["notes"].pitch, scale="pentatonic")
    hertz = pitch.hertz(np.geomspace(1e-4, 1e4, 2000))
    semitones = 12 * np.log2(hertz / pitch.anchor)

    np.testing.assert_allclose(semitones, np.rint(semitones), atol=1e-9)
    assert {*np.rint(semitones) % 12} == {0, 2, 4, 7, 9}
    assert (np.diff(hertz) >= 0).all()
    assert hertz[0] >= pitch.lowest
    assert hertz[-1] <= pitch.highest
    any_pitch = 12 * np.log2(replace(pitch, scale="any").hertz(np.geomspace(0.1, 10, 99)))
    on_scale = 12 * np.log2(pitch.hertz(np.geomspace(0.1, 10, 99)))
    assert np.abs(any_pitch - on_scale).max() <= 1.5 + 1e-9  # half the widest step


def test_inverted_larger_norms_are_lower() -> None:
    """About the anchor, within the same bounds."""
    pitch = PRESETS["notes"].pitch
    norms = np.array([0.0, 0.1, 1.0, 10.0])
    inverted = replace(pitch, invert=True).hertz(norms)

    np.testing.assert_allclose(inverted, [2637.0, 523.2, 261.6, 130.8])


def test_an_unknown_scale_is_refused() -> None:
    """The message offers the name that was meant."""
    with pytest.raises(ValueError, match="no scale 'mayor'; did you mean 'major'"):
        replace(PRESETS["notes"].pitch, scale="mayor")


def test_usual_is_the_median_of_what_was_before() -> None:
    """Of the last steps that are known; nothing where these are few."""
    rng = np.random.default_rng(0)
    decades = rng.normal(size=(200, 3)).astype(np.float32)
    decades[::7, 1] = np.nan
    medians = RunningMedian(3).medians(decades)
    for step, layer in [(40, 0), (199, 1), (100, 2)]:
        known = decades[max(0, step - MEMORY) : step, layer]
        known = np.sort(known[np.isfinite(known)])
        assert medians[step, layer] == known[(len(known) - 1) // 2]

    assert np.isnan(medians[:ENOUGH]).all()
    assert np.isfinite(medians[ENOUGH:, 0]).all()


def test_what_is_usual_does_not_depend_on_blocks() -> None:
    """Steps one by one or together, to the last bit."""
    decades = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
    together, one_by_one = RunningMedian(3).medians(decades), RunningMedian(3)

    np.testing.assert_array_equal(
        np.concatenate([one_by_one.medians(row[None]) for row in decades]), together
    )


def test_a_running_baseline_tells_surprise() -> None:
    """Two layers of different size that do as usual are at the same pitch, then one not."""
    rows = [[1.0, 1000.0]] * 50 + [[10.0, 1000.0]]
    preset = replace(PRESETS["notes"], baseline="running", register=0.0, alarms=0.0)
    hertz = composed(make_run(rows), preset).notes["hertz"][:, 0].reshape(-1, 2)

    np.testing.assert_allclose(hertz[:50], 261.6, rtol=1e-6)
    np.testing.assert_allclose(hertz[50], [523.2, 261.6], rtol=1e-6)


def test_clipping_is_an_interval() -> None:
    """Norms before and after, and one note where they are the same."""
    run = make_run([[1.0, 2.0]])
    (step,) = run.steps
    clipped = replace(step, raw=np.array([10.0, 2.0], np.float32))
    notes = composed(replace(run, steps=[clipped]), PRESETS["notes"]).notes

    np.testing.assert_allclose(notes["hertz"][notes["onset"] == 0, 0], [261.6, 523.2])
    assert np.count_nonzero(notes["onset"] > 0) == 1


def test_skipped_steps_have_their_alarm_and_no_clang() -> None:
    """Their norms were thrown away."""
    run = make_run([[np.inf, 2.0]])
    (step,) = run.steps
    skipped = replace(run, steps=[replace(step, skipped=True)])
    scored = composed(skipped, PRESETS["notes"])
    names = [scored.voices[k].name for k in scored.notes["voice"]]

    assert names == ["square", "bell", "bell"]  # the finite norm, and the figure
    assert "clang" in {
        voice.name
        for voice in np.array(composed(skipped, PRESETS["perone2019"]).voices)[
            composed(skipped, PRESETS["perone2019"]).notes["voice"]
        ]
    }
