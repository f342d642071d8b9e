"""Pictures of three to eight runs: a panel for each over the same steps and norms."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.pictures import every, lane, line, tick_texts, with_values
from helpers.runs import make_run
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import gradsound
from gradsound.music.presets import find_preset
from gradsound.rendering.sweep_figure import SweepFigure
from gradsound.runs.model import Run

HEALTHY = make_run([[3.0, 4.0]] * 40)
NAMES = "abcdefgh"


def draw(*runs: Run, preset: str = "notes", duration: float | None = None) -> Figure:
    """Returns the figure of runs, which it names a, b, c ..."""
    named = [replace(run, name=name) for run, name in zip(runs, NAMES)]
    return SweepFigure(named, find_preset(preset, None), duration).draw()


def panels(figure: Figure, label: str = "norm") -> list[Axes]:
    """Returns the panels with a label."""
    return [axes for axes in figure.axes if axes.get_ylabel() == label]


def legend(axes: Axes) -> list[str]:
    """Returns the texts of a panel's legend."""
    return [text.get_text().strip() for text in axes.get_legend().get_texts()]


def with_losses(run: Run, first: float = 3.0) -> Run:
    """Returns a run with a falling loss, and an evaluation at every tenth step."""
    values = [
        {"loss": first - k / 100, **({"eval_loss": first} if k % 10 == 9 else {})}
        for k in range(len([*run.steps]))
    ]
    return with_values(run, values)


@pytest.mark.parametrize("count", [3, 8])
def test_all_panels_have_the_same_steps_and_norms(count: int) -> None:
    """The norm at a height is the same in all panels, also beside lanes of alarms."""
    dead = make_run([[1.0, 5.0]] * 10 + [[0.0, 5.0]] * 30)
    runs = [make_run([[0.1], [40.0]] * 5), dead, *[HEALTHY] * (count - 2)]
    norms = panels(draw(*runs))

    assert len(norms) == count
    assert {axes.get_xlim() for axes in norms} == {norms[0].get_xlim()}
    assert norms[0].get_xlim()[1] == 40
    assert {axes.get_ylim()[0] for axes in norms} == {norms[0].get_ylim()[0]}
    assert norms[0].get_ylim()[0] < 0.1
    ticks = [[text for text in tick_texts(axes) if text[0].isdigit()] for axes in norms]
    assert ticks == [ticks[0]] * count
    assert lane(norms[1], "dead") == [25]


def test_a_panel_tells_whose_it_is() -> None:
    """Its legend has the name, the steps, the alarms and the comment of the run."""
    dead = make_run([[1.0, 5.0]] * 10 + [[0.0, 5.0]] * 30, comment="lr $0.1_3$")
    sparse = every(make_run([[1.0]] * 9), 5)
    texts = [legend(axes) for axes in panels(draw(dead, sparse, HEALTHY))]

    assert texts == [
        ["a: 40 steps, 1 dead; lr $0.1_3$"],
        ["b: 9 of 45 steps logged, every 5th, no alarm"],
        ["c: 40 steps, no alarm"],
    ]


def test_a_panel_of_ranks_tells_whose_it_is_and_its_colours() -> None:
    """The name of the run replaces no colour of the map of ranks."""
    ranks = make_run([[1.0, 1.0, 1.0]] * 20, ("rank 0", "rank 1", "rank 2"))
    figure = draw(ranks, HEALTHY, ranks)
    first, last = panels(figure, "rank")
    for panel in (first, last):
        texts = legend(panel)
        assert re.search(": 20 steps, no alarm", texts[0])
        assert texts[1].strip() == "4 x the median of the ranks, or more"
    assert len(panels(figure)) == 1


def test_the_norm_is_that_of_all_layers() -> None:
    """A run of many layers is one curve, and so is a log with one norm."""
    deep = make_run([[1.0] * 49] * 6)
    axes, other, _ = panels(draw(deep, make_run([[2.0]] * 6), HEALTHY))

    (curve,) = [one for one in axes.lines if len(one.get_xdata()) == 6]
    np.testing.assert_allclose(curve.get_ydata(), 7.0, rtol=1e-6)  # float32
    (curve,) = [one for one in other.lines if len(one.get_xdata()) == 6]
    np.testing.assert_allclose(curve.get_ydata(), 2.0)


def test_losses_share_a_panel_in_the_colours_of_the_runs() -> None:
    """Each run has its colour in its panel and in that of the losses."""
    silent = make_run([[1.0]] * 40)
    figure = draw(with_losses(HEALTHY), silent, with_losses(HEALTHY, 4.0))
    (losses,) = panels(figure, "loss")

    assert legend(losses) == ["a", "c", "evaluation"]
    colours = [to_hex(line(losses, name).get_color()) for name in ("a", "c")]
    norms = [axes.get_legend().get_lines()[0].get_color() for axes in panels(figure)]
    assert colours == [to_hex(norms[0]), to_hex(norms[2])]
    assert len({*map(to_hex, norms)}) == 3
    evaluations = [one for one in losses.lines if one.get_marker() == "o"]
    assert [len(one.get_xdata()) for one in evaluations[:2]] == [4, 4]


def test_without_a_loss_there_is_no_panel_of_losses() -> None:
    """The lowest panel of norms then has the steps and the times."""
    figure = draw(*[HEALTHY] * 3)

    assert not panels(figure, "loss")
    assert [axes.get_xlabel() for axes in panels(figure)] == ["", "", "step"]


def test_a_diverging_run_does_not_flatten_the_others() -> None:
    """The axis has eight decades around the usual run; a sentence says what lies beyond."""
    diverging = make_run([[10.0**k] for k in range(30)])
    healthy = [make_run([[1.0], [5.0]] * 15)] * 3
    figure = draw(diverging, *healthy)
    low, high = panels(figure)[1].get_ylim()
    header = [text.get_text() for text in figure.axes[0].texts]

    assert low < 1 < 5 < high < 1e10
    assert header[-1] == "norms above 1e8 are drawn at the edge"
    curve = max(panels(figure)[0].lines, key=lambda one: len(one.get_ydata()))
    assert np.max(curve.get_ydata()) == 1e8
    usual = draw(*healthy)
    assert "edge" not in "".join(text.get_text() for text in usual.axes[0].texts)


def test_runs_without_a_finite_norm_have_their_panels() -> None:
    """A run of NaN has marks in its lane; three of them are a picture, too."""
    nan = with_values(make_run([[math.nan]] * 6), [{"loss": math.nan}] * 6)
    first, *_ = panels(draw(nan, HEALTHY, HEALTHY))

    assert lane(first, "NaN, inf") == [0, 1, 2, 3, 4, 5]
    assert len(panels(draw(nan, nan, nan))) == 3


def test_bands_of_a_user_have_colours_of_their_own() -> None:
    """With bands, each has a curve, and the legend names the run and the band."""
    preset = replace(
        gradsound.PRESETS["notes"], bands={"in": ("layer0",), "out": ("layer1",)}
    )
    figure = SweepFigure([HEALTHY] * 3, preset, None).draw()
    for axes in panels(figure):
        assert legend(axes) == ["made: in: layer0", "made: out: layer1"]
        first, second = axes.get_legend().get_lines()
        assert first.get_color() != second.get_color()


@pytest.mark.parametrize(("preset", "duration"), [("notes", None), ("chord", 20.0)])
def test_the_time_is_that_of_the_sound(
    tmp_path: Path, preset: str, duration: float | None
) -> None:
    """The last label is before the end of what `render` writes of the same runs."""
    runs = [HEALTHY, make_run([[1.0]] * 90), HEALTHY]
    figure = draw(*runs, preset=preset, duration=duration)
    gradsound.render(
        runs[0], tmp_path / "x.vtt", other=runs[1:], preset=preset, duration=duration
    )
    times = next(
        axes.get_xticklabels()
        for panel in figure.axes
        for axes in panel.child_axes
        if axes.get_xlabel() == "time in the sound"
    )
    minutes, seconds = times[-1].get_text().split(":")
    end = re.findall(r"(\d\d):(\d\d\.\d{3}) -->", (tmp_path / "x.vtt").read_text())[-1]
    difference = int(end[0]) * 60 + float(end[1]) - int(minutes) * 60 - float(seconds)

    assert 0 <= difference < 5  # between two labels


def test_eight_panels_are_readable() -> None:
    """No two labels of an axis overlap, in panels without alarms and with many."""
    rows: list[list[float | None]] = [[1.0 + k % 7 / 10, 1.0] for k in range(300)]
    rows[100] = rows[200] = [900.0, 1.0]
    for k in range(220, 300):
        rows[k] = [0.0, math.nan if k > 280 else 1.0]
    figure = draw(*[make_run(rows)] * 4, *[with_losses(HEALTHY)] * 4)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()

    for axes in panels(figure):
        labels = [text for text in axes.get_yticklabels() if text.get_text()]
        boxes = sorted(
            (text.get_window_extent(renderer) for text in labels), key=lambda box: box.y0
        )
        assert len(boxes) >= 3
        for below, above in pairwise(boxes):
            # Half of what the box has more than the digits.
            assert above.y0 > below.y1 - 0.35 * (below.y1 - below.y0)
        height = axes.get_position().height * figure.get_figheight()
        assert 0.85 < height < 2.5


@pytest.mark.parametrize("count", [1, 2, 3])
def test_names_need_not_be_unicode(tmp_path: Path, count: int) -> None:
    """A name of a file may have any bytes; a comment may have half a character."""
    run = make_run([[1.0, 2.0]] * 4, comment="x\ud800", layers=("a\ud800", "b"))
    runs = [replace(run, name=f"{k}\udcff.jsonl") for k in range(count)]
    gradsound.plot(runs[0], tmp_path / "x.svg", other=runs[1:])


def test_plot_draws_several_runs(tmp_path: Path, save) -> None:
    """`gradsound.plot` draws up to eight; axes of a user have two at most."""
    runs = [save([[1.0 + k]] * 4, name=f"lr{k}.jsonl") for k in range(8)]
    gradsound.plot(runs[0], tmp_path / "x.svg", other=runs[1:])
    text = (tmp_path / "x.svg").read_text()

    assert all(f"<!--  lr{k}: 4 steps, no alarm -->" in text for k in range(8))
    with pytest.raises(ValueError, match="at most 8 runs can be compared, got 9"):
        gradsound.plot(runs[0], tmp_path / "y.svg", other=[*runs[1:], runs[0]])
    axes = Figure().subplots()
    with pytest.raises(ValueError, match="ax takes one run or two, got 3"):
        gradsound.plot(runs[0], ax=axes, other=runs[1:3])
    assert not (tmp_path / "y.svg").exists()
