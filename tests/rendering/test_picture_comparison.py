"""Pictures of two runs: alike and far apart in length, in norms and in layers."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.pictures import draw, every, line, tick_texts, with_values
from helpers.runs import make_run

from gradsound.rendering.spectrogram import ROW_EDGES, SILENCE
from gradsound.runs.model import Run

LONG = make_run([[1.0], [2.0]] * 500)


def short(norm: float = 1.0, first: int = 0, layers: int = 1) -> Run:
    """Returns a run of 20 steps from a step on, with norms up to a third larger."""
    run = make_run([[norm * (1 + k % 3 / 6)] * layers for k in range(20)])
    steps = [replace(step, number=step.number + first) for step in run.steps]
    return replace(run, steps=steps, name="short")


def test_two_runs_of_many_bands_lie_one_above_another() -> None:
    """Each run has a panel; both have the same norms, pitches and steps."""
    first = make_run([[1.0, 2.0]] * 4)
    second = replace(every(make_run([[1e3, 2e3]] * 4), 5), name="other")
    picture = draw(first, second)
    upper, lower = picture.norms

    assert upper.get_ylim() == lower.get_ylim()
    assert upper.get_xlim() == lower.get_xlim()
    assert lower.get_xlim()[1] > 15
    texts = [tick_texts(column) for column in picture.columns]
    assert texts[:2] == texts[2:]
    assert "other: layer1" in picture.legend()
    assert len(picture.sounds) == 2
    assert "\nmade, no alarm\n" in picture.header
    assert "\nother, no alarm" in picture.header


def test_two_runs_of_one_band_share_a_panel() -> None:
    """Two logs with one norm each are two lines in one panel, in two colours."""
    picture = draw(make_run([[1.0]] * 4), replace(make_run([[2.0]] * 4), name="other"))
    (axes,) = picture.norms
    lines = line(axes, "made: layer0"), line(axes, "other: layer0")

    np.testing.assert_allclose(lines[1].get_ydata(), 2.0)
    assert lines[0].get_color() != lines[1].get_color()


@pytest.mark.parametrize("norm", [1.0, 1e-5, 1e6])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_run_of_few_steps_is_readable_beside_a_long_one(
    norm: float, layers: int, is_first: bool
) -> None:
    """The norms and the sound of a short run fill four fifths of the width of a panel."""
    runs = [short(norm, layers=layers), LONG]
    picture = draw(*runs if is_first else runs[::-1])
    k = 0 if is_first else 1
    begin, end = picture.sounds[k].get_xlim()
    edges, levels = spectrum(picture.sounds[k])
    audible = (levels > SILENCE).any(axis=0)
    width = np.diff(edges)[audible].sum() / (end - begin)

    assert width > 0.4  # half of a step is silence
    assert edges[:-1][audible].max() - edges[:-1][audible].min() > 0.8 * (end - begin)
    assert (picture.norms[k].get_xlim(), end) == ((pytest.approx(-0.1), 20), 20)
    assert picture.sounds[1 - k].get_xlim()[1] == 1_000
    assert [axes.get_xlabel() for axes in picture.sounds] == ["step", "step"]
    assert all(audible_share(axes) > 0.01 for axes in picture.sounds)


def test_runs_far_apart_are_readable() -> None:
    """Of two runs without a common step, each has panels with its own steps."""
    picture = draw(short(), replace(short(first=100_000), name="late"))

    assert [axes.get_xlim()[1] for axes in picture.norms] == [20, 100_020]
    assert [axes.get_xlim()[1] for axes in picture.sounds] == [20, 100_020]


def test_sounds_have_the_same_pitches_at_the_same_height() -> None:
    """The spectrograms of two runs have one range, in which both sound."""
    first, second = draw(make_run([[1e-3]] * 40), make_run([[900.0]] * 40)).sounds

    assert first.get_ylim() == second.get_ylim()
    for axes in (first, second):
        rows = np.flatnonzero((spectrum(axes)[1] > SILENCE).any(axis=1))
        low, high = axes.get_ylim()
        assert low <= ROW_EDGES[rows[0]] <= ROW_EDGES[rows[-1] + 1] <= high
        assert spectrum(axes)[1].max() == 0  # each run has its own scale


def test_alarms_end_with_their_run() -> None:
    """A plateau that is not over has a bar up to the last step of its run, not further."""
    losses = [4.0 - 0.1 * min(k, 30) for k in range(300)]
    stuck = with_values(make_run([[1.0]] * 300), [{"loss": loss} for loss in losses])
    longer = replace(make_run([[1.0]] * 400), name="longer")
    for runs in ((stuck, longer), (longer, stuck)):
        (axes,) = draw(*runs).norms
        bars = [one.get_xdata() for one in axes.lines if one.get_linewidth() == 8]

        assert [bar[1] for bar in bars] == [299]
        assert axes.get_xlim()[1] == 400


def test_lines_end_with_their_run() -> None:
    """The line of the usual norm ends at the last step of a shorter run."""
    shorter = replace(make_run([[1.0], [3.0]] * 150), name="shorter")
    (axes,) = draw(make_run([[1.0]] * 400), shorter).norms
    usual = line(axes, "shorter: layer0")

    assert usual.get_xdata()[np.isfinite(usual.get_ydata())][-1] == 299


def spectrum(axes) -> tuple[np.ndarray, np.ndarray]:
    """Returns the edges of the columns of a spectrogram, and its levels."""
    (mesh,) = axes.collections
    levels = mesh.get_array().reshape(len(ROW_EDGES) - 1, -1)
    return mesh.get_coordinates()[0, :, 0], np.ma.filled(levels, -np.inf)


def audible_share(axes) -> float:
    """Returns which share of the visible cells of a spectrogram sounds."""
    edges, levels = spectrum(axes)
    low, high = axes.get_ylim()
    rows = (ROW_EDGES[:-1] >= low) & (ROW_EDGES[1:] <= high)
    sounding = (levels[rows] > SILENCE) * np.diff(edges)
    return float(sounding.sum() / rows.sum() / np.ptp(axes.get_xlim()))
