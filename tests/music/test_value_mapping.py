"""A logged value changes the tempo, the brightness, or the pitch of its own voice."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.runs import make_run
from helpers.scores import PLAIN
from hypothesis import given
from hypothesis import strategies as st

import gradsound
from gradsound.music.value_mapping import DRIVEN, Drive

RATE = 44_100
STEP = 3087 + 6174  # frames of a step of one band: a note of 70 ms and a rest of 140 ms
LOGARITHMIC = Drive(value="loss", drives="tempo", low=0.01, high=100.0)
LINEAR = Drive(value="loss", drives="tempo", low=-1.0, high=3.0)
VOICE = Drive(value="loss", drives="voice", low=0.0, high=1.0, voice="sine")
NUMBERS = st.floats(-1e200, 1e200) | st.sampled_from([-np.inf, np.inf])


def positions(drive: Drive, *values: float) -> list[float]:
    """Returns the positions of values between low (0) and high (1)."""
    return drive.positions(np.array(values)).tolist()


def run_with_losses(losses: list[float | None], norm: float | None = 1.0) -> gradsound.Run:
    """Returns a run of one layer with a loss at some of its steps."""
    run = make_run([[norm]] * len(losses))
    steps = [
        step if loss is None else replace(step, values={"loss": loss})
        for step, loss in zip(run.steps, losses)
    ]
    return replace(run, steps=steps)


def render(path: Path, run: gradsound.Run, preset: gradsound.Preset) -> np.ndarray:
    """Returns the samples of a run on one channel, shape (N,)."""
    gradsound.render(run, path / "x.wav", preset=preset)
    return soundfile.read(path / "x.wav")[0]


def power(samples: np.ndarray) -> np.ndarray:
    """Returns the power at each Hz."""
    return np.abs(np.fft.rfft(samples * np.hanning(len(samples)), RATE)) ** 2


def test_positions_above_zero_are_logarithmic() -> None:
    """Ten times the value is a quarter of the range, if it spans four decades."""
    assert positions(LOGARITHMIC, 0.01, 0.1, 1, 10, 100) == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1]
    )
    assert positions(LOGARITHMIC, 0.0, -5.0, 1e9, np.inf, -np.inf) == [0, 0, 1, 1, 0]


def test_positions_are_linear_if_an_end_is_0_or_below() -> None:
    """Equal differences of the value are equal differences of the position."""
    assert positions(LINEAR, -1, 0, 1, 3) == pytest.approx([0, 0.25, 0.5, 1])
    assert positions(LINEAR, -9, 1e9, np.inf, -np.inf) == [0, 1, 1, 0]
    assert positions(replace(LINEAR, low=0.0, high=4.0), 0, 1, 4) == pytest.approx(
        [0, 0.25, 1]
    )


@pytest.mark.parametrize("drive", [LOGARITHMIC, LINEAR])
@given(value=NUMBERS)
def test_low_above_high_inverts_the_mapping(drive: Drive, value: float) -> None:
    """This holds for all values, inside and outside the range."""
    inverse = replace(drive, low=drive.high, high=drive.low)
    (position,), (inverted,) = positions(drive, value), positions(inverse, value)

    assert 0 <= position <= 1
    assert position + inverted == pytest.approx(1)


@given(
    st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=2, unique=True),
    st.tuples(NUMBERS, NUMBERS),
)
@pytest.mark.filterwarnings("error")
def test_a_larger_value_never_has_a_lower_position(
    ends: list[int], values: tuple[float, float]
) -> None:
    """This holds for all ranges and values, without a warning."""
    low, high = (end / 1000 for end in sorted(ends))
    before, after = positions(replace(LINEAR, low=low, high=high), *sorted(values))

    assert 0 <= before <= after <= 1


@pytest.mark.parametrize("drive", [LOGARITHMIC, LINEAR])
def test_nan_has_no_position(drive: Drive) -> None:
    """NaN leaves the tempo unchanged."""
    none = drive.positions(np.array([np.nan]))

    assert np.isnan(none).all()
    assert drive.duration_factors(none).tolist() == [1]
    assert np.isfinite(drive.hertz(none)).all()


def test_tempo_is_half_to_twice_the_usual() -> None:
    """In the middle of the range, the tempo is the usual one."""
    np.testing.assert_allclose(LINEAR.duration_factors(np.array([0, 0.5, 1])), [2, 1, 0.5])
    assert LINEAR.duration_factor_max == 2


def test_a_voice_spans_three_octaves_from_c3() -> None:
    """Equal differences of the position are equal intervals."""
    np.testing.assert_allclose(
        VOICE.hertz(np.array([0, 1 / 3, 1])), [130.8, 261.6, 1046.4], rtol=1e-12
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"drives": "pitch"}, "tempo, brightness, voice, got 'pitch'"),
        ({"low": 1.0, "high": 1.0}, "'loss' must be two different numbers, got 1.0 and 1"),
        ({"low": np.nan}, "two different numbers, got nan"),
        ({"high": np.inf}, "two different numbers, got .*inf"),
    ],
)
def test_invalid_drives_are_refused(changes: dict, message: str) -> None:
    """The message has the value."""
    with pytest.raises(ValueError, match=message):
        replace(LINEAR, **changes)


def test_tempo_changes_the_duration(tmp_path: Path) -> None:
    """Steps and notes take 2, 1 and 0.5 times the usual; the pitch stays."""
    tempo = replace(PLAIN, drives=(LINEAR,))
    sound = render(tmp_path, run_with_losses([-1.0, 1.0, 3.0]), tempo)

    assert len(sound) == round(3.5 * STEP)
    ends = np.cumsum([0, 2, 1, 0.5]) * STEP
    for begin, times in zip(ends, (2, 1, 0.5)):
        note = sound[round(begin) : round(begin + 3087 * times)]
        assert abs(power(note).argmax() - 440) <= 1
        assert not sound[
            round(begin + 3087 * times) + 1 : round(begin + STEP * times)
        ].any()


def test_the_last_logged_value_counts(tmp_path: Path) -> None:
    """Before the first value and after NaN, the tempo is the usual one."""
    tempo = replace(PLAIN, drives=(LINEAR,))
    sound = render(tmp_path, run_with_losses([None, -1.0, None, np.nan, None, 9.0]), tempo)

    assert len(sound) == round((1 + 2 + 2 + 1 + 1 + 0.5) * STEP)


def test_two_values_may_drive_the_tempo(tmp_path: Path) -> None:
    """Their factors multiply: half and twice the tempo are the usual one."""
    other = Drive(value="rate", drives="tempo", low=0.0, high=1.0)
    run = make_run([[1.0]])
    steps = [replace(step, values={"loss": -1.0, "rate": 1.0}) for step in run.steps]
    tempo = replace(PLAIN, drives=(LINEAR, other))

    assert len(render(tmp_path, replace(run, steps=steps), tempo)) == STEP


@pytest.mark.parametrize("texture", ["turn", "chord", "drone"])
def test_the_voice_of_a_value_sounds_with_the_bands(tmp_path: Path, texture: str) -> None:
    """Its pitch is C3 at the low end, and three octaves higher at the high end."""
    preset = replace(
        PLAIN, texture=texture, drives=(VOICE,), note_seconds=0.4, rest_seconds=0.0
    )
    quiet, low, high = (
        power(render(tmp_path, run_with_losses([loss] * 4), preset))
        for loss in (None, 0.0, 1.0)
    )

    assert low[125:137].sum() > 1e3 * quiet[125:137].sum()
    assert high[1041:1053].sum() > 1e3 * quiet[1041:1053].sum()
    assert low[125:137].sum() > 1e3 * high[125:137].sum()


def test_the_voice_of_a_value_sounds_after_the_bands(tmp_path: Path) -> None:
    """It has a fixed onset in the step, and is silent without a value."""
    preset = replace(PLAIN, drives=(VOICE,))
    sound = render(tmp_path, run_with_losses([None, 0.5, np.nan]), preset).reshape(3, -1)

    assert sound.shape[1] == 2 * 3087 + 6174
    second = sound[:, 3087 : 2 * 3087]
    assert [one.any() for one in second] == [False, True, False]
    assert abs(power(second[1]).argmax() - 130.8 * 2**1.5) <= 1


def test_brightness_changes_the_spectrum(tmp_path: Path) -> None:
    """The dark bell is nearly a pure tone; the bright one has loud partials."""
    bright = Drive(value="loss", drives="brightness", low=0.0, high=1.0)
    preset = replace(PLAIN, voice="bell", drives=(bright,))
    shares = []
    for loss in (0.0, 1.0):
        spectrum = power(render(tmp_path, run_with_losses([loss]), preset))
        shares.append(spectrum[600:].sum() / spectrum.sum())

    assert shares[0] < 0.01
    assert shares[1] > 0.2


def test_brightness_leaves_a_voice_without_brightness(tmp_path: Path) -> None:
    """A sine has the same samples at both ends of the range."""
    bright = Drive(value="loss", drives="brightness", low=0.0, high=1.0)
    preset = replace(PLAIN, voice="sine", drives=(bright,))
    dark, light = (render(tmp_path, run_with_losses([loss]), preset) for loss in (0.0, 1.0))

    np.testing.assert_array_equal(dark, light)


@pytest.mark.parametrize("drives", DRIVEN)
def test_a_drive_without_a_value_changes_nothing(tmp_path: Path, drives: str) -> None:
    """Only the silent voice of the value takes time in the step.

    The note is louder or softer for the time that it shares, so peaks are compared as 1.
    """
    drive = replace(VOICE, value="nothing", drives=drives)
    sound = render(
        tmp_path, run_with_losses([0.5] * 3), replace(PLAIN, voice="bell", drives=(drive,))
    )
    usual = render(tmp_path, run_with_losses([0.5] * 3), replace(PLAIN, voice="bell"))

    if drives == "voice":
        sound = np.delete(sound.reshape(3, -1), np.s_[3087:6174], axis=1).ravel()
    if drives != "brightness":
        sound, usual = sound / np.abs(sound).max(), usual / np.abs(usual).max()
        np.testing.assert_allclose(sound, usual, atol=1e-3)  # quanta of 16 bits
    assert len(sound) == len(usual)
