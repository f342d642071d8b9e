"""The pitches of a rendered run lie where its norms lie, and a norm of 0 has no pitch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.runs import make_run
from helpers.spectrum import spectrum

import gradsound
from gradsound.rendering import sound
from gradsound.rendering.sound import Sound
from gradsound.runs.model import Run

RATE, STEP, NOTE = 44_100, 9261, 3087  # Hz, and frames of 210 and 70 ms
PLAIN = replace(gradsound.PRESETS["notes"], alarms=0.0)
SENTENCE = "1 octave = factor 10; norm 1e{} is C4"


def samples(*runs: Run, preset: gradsound.Preset = PLAIN) -> np.ndarray:
    """Returns the samples of one run or two, shape (N, 2)."""
    return np.concatenate([*Sound(runs, preset).blocks()])


def peak(note: np.ndarray) -> float:
    """Returns the loudest pitch of a note in Hz, in bins of 1 Hz."""
    padded = np.zeros(RATE)
    padded[: len(note)] = note * np.hanning(len(note))
    bins, power = spectrum(padded)
    return float(bins[power.argmax()])


@pytest.mark.parametrize("power", [-6, 0, 5])
def test_each_note_is_where_its_norm_is(power: int) -> None:
    """The FFT's peak is C4 at the decade of the run, and an octave higher at ten times."""
    norms = [1.0, 10.0, 1.0, 0.5, 1.0, 3.0, 1.0, 1.0] * 5
    found = samples(make_run([[norm * 10.0**power] for norm in norms]))

    for step, norm in enumerate(norms):
        note = found[step * STEP :][:NOTE, 0]
        # The second partial of a soft voice is 6 dB down, so the first is the peak.
        assert peak(note) == pytest.approx(261.6 * norm ** np.log10(2), abs=2)


def test_a_caption_tells_that_the_anchor_moved(tmp_path: Path, save) -> None:
    """It is at the beginning, in the file of captions and in the WAV file's markers."""
    gradsound.render(save([[2e5]] * 20), tmp_path / "x.wav", preset=PLAIN)
    lines = (tmp_path / "x.vtt").read_text().splitlines()

    assert [line for line in lines if "octave" in line] == [SENTENCE.format(5)]
    assert SENTENCE.format(5).encode() in (tmp_path / "x.wav").read_bytes()
    gradsound.render(save([[2.0]] * 20), tmp_path / "y.wav", preset=PLAIN)
    assert "octave" not in (tmp_path / "y.vtt").read_text()


def test_two_runs_share_the_anchor_and_its_caption() -> None:
    """Equal norms of both ears have equal pitches, and one caption tells which."""
    both = [make_run([[norm] for norm in norms]) for norms in ([2e4] * 20, [2e5] * 20)]
    compared = Sound(both, PLAIN)
    left, right = np.concatenate([*compared.blocks()])[:NOTE].T

    assert peak(right) / peak(left) == pytest.approx(2, rel=0.01)
    assert [one.text for one in compared.captions if one.kind == "pitch"] == [
        SENTENCE.format(4)
    ]


def test_a_difference_has_an_anchor_of_its_own(tmp_path: Path, save) -> None:
    """Equal runs sound at C4 at any norm, because their ratio is 1."""
    runs = [save([[3e7]] * 9, name=name) for name in ("a.jsonl", "b.jsonl")]
    gradsound.render(
        runs[0], tmp_path / "x.wav", other=runs[1], difference=True, preset=PLAIN
    )
    found, _ = soundfile.read(tmp_path / "x.wav")

    assert peak(found[:NOTE, 0]) == pytest.approx(261.6, abs=2)
    assert "octave" not in (tmp_path / "x.vtt").read_text()


def growing(norms: list[float]) -> Run:
    """Returns a run whose steps can be read once, as those of a file that grows."""
    run = make_run([[norm] for norm in norms])
    return replace(run, steps=iter([*run.steps]))


def test_a_run_that_grows_moves_the_anchor_on_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The samples are the same for any number of steps at a time, and captions tell."""
    norms = [2.0] * 5 + [2e6] * 60
    whole = Sound([growing(norms)], PLAIN)
    expected = np.concatenate([*whole.blocks()])
    monkeypatch.setattr(sound, "_SCORE_FRAMES", STEP * 7)
    parts = Sound([growing(norms)], PLAIN)
    found = np.concatenate([*parts.blocks()])

    np.testing.assert_array_equal(found, expected)
    moves = [(one.step, one.text) for one in parts.captions if one.kind == "pitch"]
    assert moves == [(15, SENTENCE.format(6))]
    before, after = (peak(found[k * STEP :][:NOTE, 0]) for k in (14, 15))
    assert before == pytest.approx(2637, abs=2)
    assert after == pytest.approx(261.6 * 2 ** np.log10(2), abs=2)


def test_a_run_that_fits_sounds_the_same_while_it_grows(
    save: Callable[..., Path],
) -> None:
    """Only a run outside the range depends on whether its end is known."""
    norms = np.random.default_rng(7).lognormal(0, 1, 200).tolist()
    finished = gradsound.read_run(save([[norm] for norm in norms]))

    np.testing.assert_array_equal(samples(growing(norms)), samples(finished))


SOUNDING = pytest.mark.parametrize(
    "preset",
    [p for p in gradsound.PRESETS.values() if p.texture != "none"],
    ids=lambda preset: preset.name,
)


@SOUNDING
def test_zero_sounds_like_no_other_norm(preset: gradsound.Preset) -> None:
    """It is softer than a note, has a spectrum of its own, and is not silent.

    The measure is the overlap of two spectra in twelfths of an octave.
    """
    quiet = replace(preset, alarms=0.0)

    def heard(norm: float | None, count: int) -> np.ndarray:
        """Returns the middle of the sound, on one channel."""
        found = samples(make_run([[norm] * count] * 41), preset=quiet)[:, 0]
        return found[len(found) // 3 : len(found) * 2 // 3]

    def shape(found: np.ndarray) -> np.ndarray:
        bins, power = spectrum(found)
        shares, _ = np.histogram(bins, 55 * 2 ** (np.arange(73) / 12), weights=power)
        return np.asarray(shares / np.linalg.norm(shares))

    for count in (1, 4):
        zero = heard(0.0, count)
        others = [heard(norm, count) for norm in (0.01, 1.0, 100.0, np.nan, np.inf)]
        assert max(shape(zero) @ shape(other) for other in others) < 0.6
        assert 0.2 < np.std(zero) / np.std(others[1]) < 1
        assert not heard(None, count).any()


def test_a_drone_breathes_without_a_seam_while_norms_are_0() -> None:
    """From step to step the breath goes on, and ends when norms are back."""
    drone = replace(gradsound.PRESETS["ambient"], alarms=0.0)
    rows: list[list[float | None]] = [[1.0]] * 20 + [[0.0]] * 20 + [[1.0]] * 20
    found = samples(make_run(rows), preset=drone)[:, 0]
    step = RATE // 10

    inner = found[22 * step : 39 * step]
    levels = [np.std(inner[k : k + step]) for k in range(0, len(inner) - step, step)]
    assert np.ptp(levels) < 0.05 * np.mean(levels)
    assert peak(found[45 * step : 46 * step]) == pytest.approx(130.8, abs=2)


def test_a_single_band_is_in_the_middle() -> None:
    """Left and right are equal; of several bands, the first is left and the last right."""
    left, right = samples(make_run([[1.0]] * 5)).T
    np.testing.assert_array_equal(left, right)
    first = samples(make_run([[1.0, 1.0]] * 5))[: 2 * NOTE]
    assert np.std(first[:NOTE, 0]) > 2 * np.std(first[:NOTE, 1])
    assert np.std(first[NOTE:, 1]) > 2 * np.std(first[NOTE:, 0])
