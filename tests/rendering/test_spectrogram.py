"""The spectrogram of a picture: it misses no note, and no column is under a pixel."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.pictures import draw
from helpers.runs import make_run
from helpers.scores import PLAIN

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
