"""The map of ranks hides no rank and no step that is far from the median."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from helpers.rank_files import write_ranks

import gradsound
from gradsound.rendering.rank_map import join_maps, map_ranks
from gradsound.runs.step_block import concatenate

if TYPE_CHECKING:
    from pathlib import Path

STEPS, RANKS = 3000, 300


@pytest.fixture
def run(tmp_path: Path) -> gradsound.Run:
    """A run of 300 ranks, of which 200 is four times the others at step 1,234 alone."""
    norms = np.ones((STEPS, RANKS))
    norms[1234, 200] = 4.0
    norms[100:110, 50] = 0.25
    norms[2000, 10] = np.nan
    return gradsound.read_ranks(write_ranks(tmp_path, norms))


def test_each_group_of_steps_has_the_farthest_ratio(run: gradsound.Run) -> None:
    """In octaves: 2 above, 2 below, infinite for NaN; blocks change nothing."""
    block = concatenate([*run.blocks()])
    whole = map_ranks(block, 10)
    expected = np.zeros((STEPS // 10, RANKS))
    expected[123, 200], expected[10, 50], expected[200, 10] = 2, -2, np.inf
    np.testing.assert_array_equal(whole.octaves, expected)
    assert whole.begins.tolist() == [*range(0, STEPS, 10)]
    parts = [map_ranks(block.take(slice(k, k + 500)), 10) for k in range(0, STEPS, 500)]
    np.testing.assert_array_equal(join_maps(parts).octaves, whole.octaves)


def test_one_step_of_one_rank_of_many_is_visible(run: gradsound.Run) -> None:
    """The picture has a row for each few ranks, whose cell has the deep colour."""
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(11, 4), dpi=110)
    canvas = pytest.importorskip("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    axes = figure.subplots()
    gradsound.plot(run, ax=axes)
    axes.get_legend().remove()  # it may lie above a cell
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba()).astype(int)

    def colour_at(step: float, rank: float) -> np.ndarray:
        x, y = axes.transData.transform((step, rank)).astype(int)
        near = pixels[-y - 3 : -y + 2, x - 2 : x + 3, :3].reshape(-1, 3)
        return near[np.argmin(near.sum(axis=1))]

    red, green, blue = colour_at(1234, 200.5)
    assert red > green + 60
    assert red > blue + 60
    red, green, blue = colour_at(105, 50.5)
    assert blue > red + 60
    assert colour_at(2000, 10.5).max() < 60  # black
    assert colour_at(500, 120).min() > 200  # nearly white


def test_the_labels_name_ranks_and_kinds_of_alarms(run: gradsound.Run) -> None:
    """At most sixteen ranks have a label, so that none overlap."""
    axes = pytest.importorskip("matplotlib.figure").Figure().subplots()
    gradsound.plot(run, ax=axes)
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels[:16] == [f"rank {rank}" for rank in range(0, 300, 19)]
    assert {label.split()[0] for label in labels[16:]} <= {"rank", "recovery", "often"}
    assert labels[16:]
