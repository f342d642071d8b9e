"""Several runs in the time of a step: two at once, more one after another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gradsound
from gradsound.music.fit_duration import fit_duration
from gradsound.music.run_layout import lay_out_runs, share_preset

NOTES = gradsound.PRESETS["notes"]
LAYERS = ("conv1", "conv2", "fc1", "fc2", "fc3")


@pytest.mark.parametrize("runs", [1, 2])
def test_one_run_and_two_keep_the_preset_and_its_layout(runs: int) -> None:
    """Each run has the layout that it has alone."""
    shared = share_preset(NOTES, runs)
    layouts = lay_out_runs(shared, [LAYERS] * runs)

    assert shared is NOTES
    bands = len(NOTES.bands_of(LAYERS))
    for layout in layouts:
        np.testing.assert_array_equal(layout.onsets, NOTES.layout(bands).onsets)


@pytest.mark.parametrize("preset", ["notes", "scan", "perone2019"])
@pytest.mark.parametrize("runs", [3, 8])
def test_more_runs_sound_one_after_another(preset: str, runs: int) -> None:
    """Each run has one note, which begins where that of the run before it ends."""
    shared = share_preset(gradsound.PRESETS[preset], runs)
    layouts = lay_out_runs(shared, [LAYERS[: 1 + k % 5] for k in range(runs)])
    onsets = np.concatenate([layout.onsets for layout in layouts])

    expected = np.arange(runs) * shared.note_seconds
    np.testing.assert_allclose(onsets, expected, rtol=1e-12)  # rounding of the sums
    expected = np.full(runs, runs * shared.note_seconds + shared.rest_seconds)
    np.testing.assert_allclose([layout.duration for layout in layouts], expected)


@pytest.mark.parametrize("preset", ["chord", "ambient"])
def test_runs_of_a_chord_sound_at_once(preset: str) -> None:
    """Their level falls with their number, so that the chord is no louder."""
    shared = share_preset(gradsound.PRESETS[preset], 5)
    layouts = lay_out_runs(shared, [LAYERS] * 5)

    assert [layout.onsets.tolist() for layout in layouts] == [[0.0]] * 5
    assert {layout.polyphony for layout in layouts} == {5}


def test_bands_of_a_user_stay() -> None:
    """Each run then has a note for each of these bands, after those of the run before."""
    preset = replace(NOTES, bands={"conv": ("conv*",), "fc": ("fc*",)})
    first, second, _ = lay_out_runs(share_preset(preset, 3), [LAYERS] * 3)

    np.testing.assert_allclose(first.onsets, [0.0, 0.07])
    np.testing.assert_allclose(second.onsets, [0.14, 0.21])


@pytest.mark.parametrize("preset", ["notes", "chord", "scan", "ambient"])
def test_a_sweep_fits_a_duration(preset: str) -> None:
    """Eight runs need more time for a step than one, and still fit."""
    shared = share_preset(gradsound.PRESETS[preset], 8)
    fitted, merged = fit_duration(shared, [LAYERS] * 8, 5000, 30.0)
    step = lay_out_runs(fitted, [LAYERS] * 8)[0].duration

    assert 25.0 < step * -(-5000 // merged) < 30.0
