"""From norms to notes, judged by laws."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import make_run
from hypothesis import given
from hypothesis import strategies as st

from gradsound import PRESETS, Preset
from gradsound.music.mapping import compose
from gradsound.music.pitch import LinearPitch, LogPitch
from gradsound.music.preset import at_speed, find_preset, from_data, to_data
from gradsound.music.usual import Usual

FINITE = st.floats(min_value=0, width=32, allow_nan=False, allow_infinity=False)
EACH = pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))


def score(row: list[float | None], preset: Preset):
    return compose(list(make_run([row]).steps), preset)


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
    """Twelve semitones a decade, and norm 1 is A4."""
    hertz = PRESETS["notes"].pitch.hertz(np.array([0.1, 1.0, 10.0, 100.0]))

    np.testing.assert_allclose(hertz, [220.0, 440.0, 880.0, 1760.0], rtol=1e-12)


def test_perone_is_linear() -> None:
    """200 Hz + 100 Hz x norm, as in the post of 2019."""
    hertz = PRESETS["perone2019"].pitch.hertz(np.array([0.0, 1 / 3, 7.0]))

    np.testing.assert_allclose(hertz, [200.0, 233 + 1 / 3, 900.0], rtol=1e-12)


@EACH
def test_layers_sound_in_turn(preset: Preset) -> None:
    """One note a layer, each where the one before ends, then the rest."""
    made = score([1 / 3, 2 / 3, 5 / 3], preset)
    (duration,) = made.durations

    np.testing.assert_allclose(made.notes["onset"], np.arange(3) * preset.note, rtol=1e-12)
    assert set(made.notes["duration"]) == {preset.note}
    assert {made.voices[k].name for k in made.notes["voice"]} == {preset.voice}
    np.testing.assert_allclose(duration, 3 * preset.note + preset.rest, rtol=1e-12)


@EACH
def test_not_finite_is_a_clang(preset: Preset) -> None:
    """NaN and infinity have a voice of their own, and two pitches of it."""
    made = score([1 / 3, np.nan, np.inf], preset)
    _, nan, infinite = made.notes["hertz"][:, 0]

    assert [made.voices[k].name for k in made.notes["voice"]] == [
        preset.voice,
        "clang",
        "clang",
    ]
    assert infinite == 4 * nan


@EACH
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
    own = replace(PRESETS["notes"], name="slow", rest=1.0)

    assert find_preset(own) is own
    assert find_preset("notes").rest != 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"voice": "sinus"}, "no voice 'sinus'; did you mean 'sine'"),
        ({"note": 0.0}, "note must be 0.001 to 2.0 s, got 0.0"),
        ({"rest": -0.1}, "rest must be 0 to 2.0 s, got -0.1"),
        ({"fade": 0.05}, "fade must be 0 to half the note"),
        ({"level": 1.5}, "level must be above 0 and at most 1, got 1.5"),
        ({"level": float("nan")}, "got nan"),
        ({"spread": -0.5}, "spread must be 0 to 1, got -0.5"),
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


def test_what_lasts_becomes_usual() -> None:
    """Ten times the norm, for good: a decade at first, and less by a twentieth a step."""
    norms = np.array([[1.0]] * 5 + [[10.0]] * 60, np.float32)
    far = Usual().deviations(norms)[:, 0]

    np.testing.assert_allclose(far[:5], 0, atol=1e-6)
    np.testing.assert_allclose(far[5:], 0.95 ** np.arange(60), rtol=1e-5)


def test_what_is_usual_does_not_depend_on_blocks() -> None:
    """Steps one by one or together, to the last bit."""
    norms = np.random.default_rng(0).lognormal(size=(50, 3)).astype(np.float32)
    together, one_by_one = Usual().deviations(norms), Usual()

    np.testing.assert_array_equal(
        np.concatenate([one_by_one.deviations(row[None]) for row in norms]), together
    )
    assert np.abs(together).max() > 0.5


def test_what_is_no_number_is_not_usual() -> None:
    """NaN, infinity and zero change nothing; infinity is far above, zero far below."""
    row = [1.0, 1.0, np.nan, np.inf, 0.0, 1.0]
    far = Usual().deviations(np.array([row], np.float32).T)[:, 0]

    np.testing.assert_array_equal(far, [0, 0, 0, 1, -1, 0])
    later = Usual().deviations(np.array([[np.nan], [2.0], [20.0]], np.float32))[:, 0]
    np.testing.assert_allclose(later, [0, 0, 1], atol=1e-6)
