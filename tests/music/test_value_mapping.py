"""Values beside norms, judged by what they change in the sound."""

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
STEP = 3087 + 6174  # frames of a step of one band: 70 ms and 140 ms of silence
EXPONENTIAL = Drive(value="loss", drives="tempo", low=0.01, high=100.0)
EVEN = Drive(value="loss", drives="tempo", low=-1.0, high=3.0)
VOICE = Drive(value="loss", drives="voice", low=0.0, high=1.0, voice="sine")
NUMBERS = st.floats(-1e200, 1e200) | st.sampled_from([-np.inf, np.inf])


def places(drive: Drive, *values: float) -> list[float]:
    """Where they are between low and high."""
    return drive.places(np.array(values)).tolist()


def noted(losses: list[float | None], norm: float | None = 1.0) -> gradsound.Run:
    """A run of one layer with a loss at some of its steps."""
    run = make_run([[norm]] * len(losses))
    steps = [
        step if loss is None else replace(step, values={"loss": loss})
        for step, loss in zip(run.steps, losses)
    ]
    return replace(run, steps=steps)


def heard(path: Path, run: gradsound.Run, preset: gradsound.Preset) -> np.ndarray:
    """The samples of a run, on one channel."""
    gradsound.render(run, path / "x.wav", preset=preset)
    return soundfile.read(path / "x.wav")[0]


def power(samples: np.ndarray) -> np.ndarray:
    """Of each Hz."""
    return np.abs(np.fft.rfft(samples * np.hanning(len(samples)), RATE)) ** 2


def test_places_are_even_in_ratio_above_zero() -> None:
    """Ten times as large is a quarter further, where the ends are four decades apart."""
    assert places(EXPONENTIAL, 0.01, 0.1, 1, 10, 100) == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1]
    )
    assert places(EXPONENTIAL, 0.0, -5.0, 1e9, np.inf, -np.inf) == [0, 0, 1, 1, 0]


def test_places_are_even_in_difference_else() -> None:
    """Where an end is 0 or below, equal differences are equal steps."""
    assert places(EVEN, -1, 0, 1, 3) == pytest.approx([0, 0.25, 0.5, 1])
    assert places(EVEN, -9, 1e9, np.inf, -np.inf) == [0, 1, 1, 0]
    assert places(replace(EVEN, low=0.0, high=4.0), 0, 1, 4) == pytest.approx([0, 0.25, 1])


@pytest.mark.parametrize("drive", [EXPONENTIAL, EVEN])
@given(value=NUMBERS)
def test_low_above_high_turns_it_round(drive: Drive, value: float) -> None:
    """At every value, even beyond the ends."""
    turned = replace(drive, low=drive.high, high=drive.low)
    (place,), (other,) = places(drive, value), places(turned, value)

    assert 0 <= place <= 1
    assert place + other == pytest.approx(1)


@given(
    st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=2, unique=True),
    st.tuples(NUMBERS, NUMBERS),
)
@pytest.mark.filterwarnings("error")
def test_a_larger_value_is_never_further_down(
    ends: list[int], values: tuple[float, float]
) -> None:
    """Whatever the ends and the values are, and without a warning."""
    low, high = (end / 1000 for end in sorted(ends))
    before, after = places(replace(EVEN, low=low, high=high), *sorted(values))

    assert 0 <= before <= after <= 1


@pytest.mark.parametrize("drive", [EXPONENTIAL, EVEN])
def test_no_value_is_nowhere(drive: Drive) -> None:
    """NaN has no place, and leaves the tempo as it is."""
    none = drive.places(np.array([np.nan]))

    assert np.isnan(none).all()
    assert drive.lasting(none).tolist() == [1]
    assert np.isfinite(drive.hertz(none)).all()


def test_tempo_is_half_to_twice() -> None:
    """And as it is in the middle."""
    np.testing.assert_allclose(EVEN.lasting(np.array([0, 0.5, 1])), [2, 1, 0.5])


def test_a_voice_has_three_octaves() -> None:
    """From C3, as many semitones for every equal step."""
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
def test_what_drives_nothing_is_refused(changes: dict, message: str) -> None:
    """The message has what was given."""
    with pytest.raises(ValueError, match=message):
        replace(EVEN, **changes)


def test_tempo_changes_the_duration(tmp_path: Path) -> None:
    """Steps last 2, 1 and 0.5 times as long: the norms' notes too, at the same pitch."""
    tempo = replace(PLAIN, drives=(EVEN,))
    sound = heard(tmp_path, noted([-1.0, 1.0, 3.0]), tempo)

    assert len(sound) == round(3.5 * STEP)
    ends = np.cumsum([0, 2, 1, 0.5]) * STEP
    for begin, times in zip(ends, (2, 1, 0.5)):
        note = sound[round(begin) : round(begin + 3087 * times)]
        assert abs(power(note).argmax() - 440) <= 1
        assert not sound[
            round(begin + 3087 * times) + 1 : round(begin + STEP * times)
        ].any()


def test_what_was_noted_last_counts(tmp_path: Path) -> None:
    """Before the first value all is as usual; NaN is as no value; a run in parts too."""
    tempo = replace(PLAIN, drives=(EVEN,))
    sound = heard(tmp_path, noted([None, -1.0, None, np.nan, None, 9.0]), tempo)

    assert len(sound) == round((1 + 2 + 2 + 1 + 1 + 0.5) * STEP)


def test_two_values_may_drive_the_tempo(tmp_path: Path) -> None:
    """As one after the other: half as fast, and twice, is as usual."""
    other = Drive(value="rate", drives="tempo", low=0.0, high=1.0)
    run = make_run([[1.0]])
    steps = [replace(step, values={"loss": -1.0, "rate": 1.0}) for step in run.steps]
    tempo = replace(PLAIN, drives=(EVEN, other))

    assert len(heard(tmp_path, replace(run, steps=steps), tempo)) == STEP


@pytest.mark.parametrize("texture", ["turn", "chord", "drone"])
def test_a_voice_is_heard_besides(tmp_path: Path, texture: str) -> None:
    """At its own pitch: C3 at the low end, three octaves above at the high one."""
    preset = replace(
        PLAIN, texture=texture, drives=(VOICE,), note_seconds=0.4, rest_seconds=0.0
    )
    quiet, low, high = (
        power(heard(tmp_path, noted([loss] * 4), preset)) for loss in (None, 0.0, 1.0)
    )

    assert low[125:137].sum() > 1e3 * quiet[125:137].sum()
    assert high[1041:1053].sum() > 1e3 * quiet[1041:1053].sum()
    assert low[125:137].sum() > 1e3 * high[125:137].sum()


def test_a_voice_has_a_place_in_the_step(tmp_path: Path) -> None:
    """After the bands, so that it is known by when it sounds; silent without a value."""
    preset = replace(PLAIN, drives=(VOICE,))
    sound = heard(tmp_path, noted([None, 0.5, np.nan]), preset).reshape(3, -1)

    assert sound.shape[1] == 2 * 3087 + 6174
    second = sound[:, 3087 : 2 * 3087]
    assert [one.any() for one in second] == [False, True, False]
    assert abs(power(second[1]).argmax() - 130.8 * 2**1.5) <= 1


def test_brightness_changes_the_spectrum(tmp_path: Path) -> None:
    """A bell is a pure tone at its darkest, and has partials when it is bright."""
    bright = Drive(value="loss", drives="brightness", low=0.0, high=1.0)
    preset = replace(PLAIN, voice="bell", drives=(bright,))
    shares = []
    for loss in (0.0, 1.0):
        found = power(heard(tmp_path, noted([loss]), preset))
        shares.append(found[600:].sum() / found.sum())

    assert shares[0] < 0.01
    assert shares[1] > 0.2


def test_brightness_leaves_a_voice_that_has_none(tmp_path: Path) -> None:
    """A sine is the same to the bit."""
    bright = Drive(value="loss", drives="brightness", low=0.0, high=1.0)
    preset = replace(PLAIN, voice="sine", drives=(bright,))
    dark, light = (heard(tmp_path, noted([loss]), preset) for loss in (0.0, 1.0))

    np.testing.assert_array_equal(dark, light)


@pytest.mark.parametrize("drives", DRIVEN)
def test_a_value_that_was_never_noted_changes_nothing(tmp_path: Path, drives: str) -> None:
    """But for the place in the step that its voice has."""
    drive = replace(VOICE, value="nothing", drives=drives)
    sound = heard(tmp_path, noted([0.5] * 3), replace(PLAIN, voice="bell", drives=(drive,)))
    usual = heard(tmp_path, noted([0.5] * 3), replace(PLAIN, voice="bell"))

    if drives == "voice":
        sound = np.delete(sound.reshape(3, -1), np.s_[3087:6174], axis=1).ravel()
    if drives != "brightness":
        np.testing.assert_allclose(sound, usual, atol=1e-9)
    assert len(sound) == len(usual)
