"""The spectrogram of a picture: it misses no note, and no column is under a pixel."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.pictures import draw
from helpers.runs import make_run
from helpers.scores import PLAIN

import gradsound
from gradsound.rendering.run_figure import RunFigure
from gradsound.rendering.spectrogram import ROW_EDGES, SILENCE
from gradsound.runs.model import Run

HIGH = 1760.0  # Hz, of norm 100 with the preset PLAIN; norm 1 has overtones up to 1320


def high_columns(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Returns the begins of all columns, and which of them have the pitch of norm 100."""
    (axes,) = draw(run, preset=replace(PLAIN, bands="layers")).sounds
    (mesh,) = axes.collections
    levels = np.ma.filled(mesh.get_array(), -np.inf).reshape(len(ROW_EDGES) - 1, -1)
    row = np.searchsorted(ROW_EDGES, HIGH) - 1
    return mesh.get_coordinates()[0, :-1, 0], levels[row] > SILENCE


@pytest.mark.parametrize("layer", [0, 1, 6, 11])
def test_no_note_of_a_step_is_missed(layer: int) -> None:
    """A single high note among twelve is in every column, wherever in the step it is."""
    norms = np.ones((260, 12))
    norms[:, layer] = 100.0
    begins, is_high = high_columns(make_run(norms.tolist()))

    assert len(begins) == 260
    assert is_high.all()


@pytest.mark.parametrize("step", [0, 701, 1_499])
def test_no_step_is_narrower_than_a_pixel(step: int) -> None:
    """Of 1,500 steps, a thousand columns show a single high one, at its place."""
    norms = np.ones((1_500, 1))
    norms[step] = 100.0
    begins, is_high = high_columns(make_run(norms.tolist()))
    (place,) = np.flatnonzero(is_high)

    assert len(begins) <= 1_000
    assert begins[place] <= step < np.append(begins, 1_500)[place + 1]


def test_a_gap_after_a_column_of_several_steps_is_silent() -> None:
    """A long pause in the steps of a long run is silent in the picture."""
    run = make_run([[100.0]] * 1_500)
    steps = [
        replace(step, number=step.number + 900 * (step.number >= 800)) for step in run.steps
    ]
    begins, is_high = high_columns(replace(run, steps=steps))

    assert not is_high[(begins > 805) & (begins < 1_690)].any()
    assert is_high[(begins < 795) | (begins > 1_705)].all()


@pytest.mark.parametrize("preset", ["notes", "chord", "scan", "ambient"])
@pytest.mark.parametrize("count", [6, 300])
def test_the_spectrum_is_that_of_the_sound(tmp_path: Path, preset: str, count: int) -> None:
    """Where all steps are drawn, each has the levels of the file that `render` writes."""
    chosen = replace(gradsound.PRESETS[preset], spread=0.0, alarms=0.0)
    norms = np.random.default_rng(5).lognormal(0, 2, (count, 3))
    run, path = make_run(norms.tolist()), tmp_path / "x.wav"
    gradsound.render(run, path, preset=chosen)
    samples = soundfile.read(path, always_2d=True)[0].mean(axis=1)
    (axes,) = draw(run, preset=chosen).sounds
    levels = axes.collections[0].get_array().data.reshape(len(ROW_EDGES) - 1, count, -1)

    drawn = levels.max(axis=2).T  # (steps, R)
    heard = levels_of_steps(samples, count, chosen.layout(3).duration)
    errors = np.abs(drawn - heard)[np.maximum(drawn, heard) > -6]
    assert np.percentile(errors, 95) < 4  # dB; the skirts of windows differ more


def levels_of_steps(samples: np.ndarray, count: int, duration: float) -> np.ndarray:
    """Returns the level of each row in the time of each step, the loudest of many windows.

    Args:
        samples: The samples of the sound, shape (N,).
        count: Number of steps.
        duration: Seconds of a step.
    """
    firsts = np.round(ROW_EDGES * 4096 / 44_100).astype(int)
    rows = []
    for k in range(count):
        begin, end = round(k * duration * 44_100), round((k + 1) * duration * 44_100)
        step = samples[begin:end]
        windows = np.lib.stride_tricks.sliding_window_view(step, 2048)[::300]
        bins = np.abs(np.fft.rfft(windows * np.hanning(2048), 4096)).max(axis=0)
        rows.append(np.maximum.reduceat(bins, firsts)[:-1])
    return 20 * np.log10(np.array(rows) / np.max(rows) + 1e-12)


@pytest.mark.parametrize("count", [1_000, 1_001, 100_000])
def test_of_many_steps_only_the_columns_are_rendered(count: int) -> None:
    """A spectrogram has at most a thousand moments: of each group, the loudest norm's."""
    norms = np.ones((count, 1))
    norms[1::7] = 1e3
    moments = RunFigure([make_run(norms.tolist())], PLAIN, None)._curves[0].moments

    assert 500 <= len(moments) <= 1_000
    if count > 7_000:
        assert {float(moment.step.norms[0]) for moment in moments} == {1e3}
