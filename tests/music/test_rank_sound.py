"""A listener hears a rank that deviates leave the note of all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from helpers.rank_files import write_ranks
from numpy.typing import NDArray

import gradsound
from gradsound.music.layer_groups import find_bands
from gradsound.music.moments import Moment
from gradsound.music.pitch_sentence import pitch_sentence
from gradsound.music.presets import PRESETS, Preset
from gradsound.music.rank_ratios import rank_ratios
from gradsound.music.rank_sound import rank_preset
from gradsound.music.tracks import Tracks
from gradsound.runs.rank_layers import rank_name
from gradsound.runs.step import Step

if TYPE_CHECKING:
    from pathlib import Path

C4 = 261.6  # Hz


def names(ranks: int) -> tuple[str, ...]:
    """Returns the names of ranks."""
    return tuple(map(rank_name, range(ranks)))


def hertz_of(norms: list[float], preset: Preset) -> NDArray[np.float64]:
    """Returns the pitches of the notes of one step, in the order of their bands."""
    ranks = names(len(norms))
    row = np.array(norms, np.float32)
    step = Step(0, 0.0, row, np.zeros(len(row), bool))
    return Tracks(ranks, rank_preset(preset, [ranks])).states([Moment(0, step)]).hertz[0]


def test_equal_ranks_are_one_note_and_twice_the_median_is_an_octave() -> None:
    """The median of the ranks is C4 at any norm; half of it is an octave below."""
    for scale in (1e-6, 1.0, 1e6):
        norms = [scale * norm for norm in (1.0, 1.0, 2.0, 1.0, 0.5)]
        expected = np.array([1, 1, 2, 1, 1 / 2]) * C4
        np.testing.assert_allclose(hertz_of(norms, PRESETS["notes"]), expected, rtol=1e-4)


def test_some_percent_are_less_than_a_semitone_and_half_as_much_is_a_fifth() -> None:
    """A listener hears 1.5 x, and takes 5 % for the same note out of tune."""
    _, _, near, far, _ = hertz_of([1.0, 1.0, 1.05, 1.5, 1.0], PRESETS["notes"])
    assert 12 * np.log2(near / C4) < 1
    assert 12 * np.log2(far / C4) == pytest.approx(7, abs=0.1)


def test_of_a_group_of_ranks_the_farthest_is_heard() -> None:
    """Of 512 ranks, eight groups sound; one deviating rank is not hidden by 63 others."""
    norms = np.ones(512)
    norms[200] = 4.0
    hertz = hertz_of(norms.tolist(), PRESETS["notes"])
    np.testing.assert_allclose(hertz / C4, [1, 1, 1, 4, 1, 1, 1, 1], rtol=1e-4)
    assert [band.name for band in find_bands(names(512))][3] == "ranks 192 to 255"


def test_a_band_of_all_ranks_is_the_worst_alone() -> None:
    """That is one note a step."""
    worst = gradsound.Preset(
        name="worst",
        pitch=PRESETS["notes"].pitch,
        voice="soft",
        note_seconds=0.07,
        rest_seconds=0.1,
        fade_seconds=0.008,
        level=0.1,
        bands={"worst": ("*",)},
    )
    (hertz,) = hertz_of([1.0, 1.1, 0.25, 1.0, 1.0], worst)
    assert hertz == pytest.approx(C4 / 4, rel=1e-4)


def test_nan_infinity_and_zero_of_a_rank_stay_what_they_are() -> None:
    """They have sounds of their own; the others are divided by the median of numbers."""
    norms = np.array([[np.nan, np.inf, 0.0, 3.0, 3.0, 6.0]], np.float32)
    ratios = rank_ratios(norms, np.zeros((1, 6), bool))
    np.testing.assert_array_equal(ratios, [[np.nan, np.inf, 0, 1, 1, 2]])
    zeros = rank_ratios(np.zeros((1, 3), np.float32), np.zeros((1, 3), bool))
    np.testing.assert_array_equal(zeros, np.ones((1, 3)))


def test_other_runs_and_a_running_baseline_stay_as_they_are() -> None:
    """Only ranks have the pitch of ranks."""
    notes = PRESETS["notes"]
    assert rank_preset(notes, [("conv", "fc")]) is notes
    assert rank_preset(notes, [names(3), ("conv",)]) is notes
    text = pitch_sentence(rank_preset(notes, [names(3)]))
    assert text == "1 octave = factor 2; the median of the ranks at each step is C4"


def test_the_sound_has_the_pitch_of_the_deviating_rank(tmp_path: Path) -> None:
    """The spectrum of the part with the deviation has its note; the part before has not."""
    soundfile = pytest.importorskip("soundfile")
    norms = np.ones((40, 4))
    norms[20:, 2] = 2.0
    run = gradsound.read_ranks(write_ranks(tmp_path, norms))
    gradsound.render(run, tmp_path / "ranks.wav", voice="sine")
    samples, rate = soundfile.read(tmp_path / "ranks.wav")
    step = 4 * 0.07 + 0.14

    def level(begin: float, end: float, hertz: float) -> float:
        part = samples[int(begin * rate) : int(end * rate)].mean(axis=1)
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
        near = np.abs(np.fft.rfftfreq(len(part), 1 / rate) - hertz) < 15
        return float(spectrum[near].sum() / spectrum.sum())

    assert level(0, 19 * step, 2 * C4) < 1e-3
    assert level(30 * step, 39 * step, 2 * C4) > 0.05
    assert level(0, 19 * step, C4) > 0.8
