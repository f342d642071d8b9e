"""Pitch rises with the norm, within bounds, and on the notes of a scale."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradsound import PRESETS, LinearPitch, LogPitch, Preset

FINITE = st.floats(min_value=0, width=32, allow_nan=False, allow_infinity=False)
EACH = pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))


@EACH
@given(st.tuples(FINITE, FINITE))
def test_a_larger_norm_is_never_lower(preset: Preset, norms: tuple[float, float]) -> None:
    """Pitch rises with the norm or stays the same."""
    low, high = preset.pitch.hertz(np.sort(norms))

    assert low <= high


@given(FINITE)
def test_log_pitch_stays_within_its_bounds(norm: float) -> None:
    """No finite norm leaves the two bounds."""
    pitch = PRESETS["notes"].pitch
    (hertz,) = pitch.hertz(np.array([norm]))

    assert pitch.lowest * (1 - 1e-12) <= hertz <= pitch.highest * (1 + 1e-12)


def test_ten_times_the_norm_is_an_octave() -> None:
    """The default has 12 semitones a decade; norm 1 of the first band is C4."""
    hertz = PRESETS["notes"].pitch.hertz(np.array([0.1, 1.0, 10.0, 100.0]))

    np.testing.assert_allclose(hertz, [130.8, 261.6, 523.2, 1046.4], rtol=1e-12)


def test_perone2019_is_linear() -> None:
    """Its pitch is 200 Hz + 100 Hz x norm, as in the post of 2019."""
    hertz = PRESETS["perone2019"].pitch.hertz(np.array([0.0, 1 / 3, 7.0]))

    np.testing.assert_allclose(hertz, [200.0, 233 + 1 / 3, 900.0], rtol=1e-12)


def test_a_scale_rounds_to_its_notes() -> None:
    """Pitches are the nearest notes of the scale within the bounds, in order."""
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


def test_bounds_between_two_notes_leave_pitches_unrounded() -> None:
    """A scale without a note within the bounds rounds nothing."""
    norms = np.array([1e-9, 1 / 3, 1e9])
    narrow = LogPitch(anchor=440.0, semitones=12.0, lowest=450.0, highest=460.0)

    hertz = replace(narrow, scale="major").hertz(norms)
    np.testing.assert_array_equal(hertz, narrow.hertz(norms))


def test_inverted_larger_norms_are_lower() -> None:
    """Inversion mirrors the pitches at the anchor, within the same bounds."""
    pitch = PRESETS["notes"].pitch
    norms = np.array([0.0, 0.1, 1.0, 10.0])
    inverted = replace(pitch, invert=True).hertz(norms)

    np.testing.assert_allclose(inverted, [2637.0, 523.2, 261.6, 130.8])


def test_invalid_pitches_are_refused() -> None:
    """The message has the rule."""
    with pytest.raises(ValueError, match="need base > 0"):
        LinearPitch(base=0.0, slope=1.0)
    with pytest.raises(ValueError, match="need 0 < lowest < highest"):
        LogPitch(anchor=440.0, semitones=12.0, lowest=200.0, highest=100.0)
    with pytest.raises(ValueError, match="semitones > 0"):
        LogPitch(anchor=440.0, semitones=0.0, lowest=100.0, highest=200.0)


def test_an_unknown_scale_is_refused() -> None:
    """The message suggests the nearest name."""
    with pytest.raises(ValueError, match="no scale 'mayor'; did you mean 'major'"):
        replace(PRESETS["notes"].pitch, scale="mayor")
