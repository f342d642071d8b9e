"""gradsound.plot: the drawn lines, texts and levels; and the summary of a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import make_run
from helpers.scores import PLAIN
from matplotlib.figure import Figure

import gradsound
from gradsound.rendering.picture import MAX_STEPS
from gradsound.rendering.spectrogram import ROW_EDGES
from gradsound.runs.summary import describe, summarize


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A function that plots norms and returns both axes and the text above them."""
    figures = []
    save = Figure.savefig

    def keep(figure: Figure, path: Path) -> None:
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(Figure, "savefig", keep)

    def draw(norms: list[list[float | None]], **changes: object):
        gradsound.plot(make_run(norms, comment="try 7"), tmp_path / "x.png", **changes)
        upper, lower = figures[-1].axes[:2]
        return upper, lower, f"{figures[-1].get_suptitle()}\n{upper.get_title(loc='left')}"

    return draw


def test_pitches_are_where_they_sound(drawn) -> None:
    """Each layer is a line through its pitches at the times of its notes."""
    upper, _, _ = drawn([[1.0, 0.1], [10.0, None], [100.0, 0.2]], preset=PLAIN)
    first, second = upper.lines[:2]

    np.testing.assert_allclose(first.get_xdata(), [0.0, 0.28, 0.56])
    np.testing.assert_allclose(first.get_ydata(), [440.0, 880.0, 1760.0])
    np.testing.assert_allclose(second.get_xdata(), [0.07, 0.35, 0.63])
    np.testing.assert_allclose(second.get_ydata()[[0, 2]], [220.0, 271.0], rtol=1e-3)
    assert np.isnan(second.get_ydata()[1])
    assert upper.get_xlim() == (0, pytest.approx(0.84))


def test_the_picture_names_the_events(drawn) -> None:
    """The picture has comment, preset and events, and a mark where NaN sounds."""
    upper, _, text = drawn([[1.0, 2.0]] * 3 + [[np.nan, 2.0]])
    marks = next(line for line in upper.lines if line.get_label() == "not finite")

    assert "try 7: 4 steps, preset notes" in text
    assert "step 3: layer0 NaN" in text
    np.testing.assert_allclose(marks.get_xdata(), [0.84])
    assert [label.get_text() for label in upper.texts] == [" 3"]


def test_the_spectrum_has_the_notes(drawn) -> None:
    """The loudest row of a column is the pitch of the note; silence is below -50 dB."""
    _, lower, _ = drawn([[1.0, 10.0]] * 4, preset=PLAIN)
    (mesh,) = lower.collections
    levels = mesh.get_array().reshape(len(ROW_EDGES) - 1, -1)  # (R, columns)
    columns = levels.shape[1] // 4
    times = (np.arange(columns) + 0.5) / columns * 0.28
    rows = np.sqrt(ROW_EDGES[:-1] * ROW_EDGES[1:])
    for start, end, hertz in ((0.02, 0.05, 440.0), (0.09, 0.12, 880.0)):
        inside = (times > start) & (times < end)
        loudest = rows[levels[:, :columns][:, inside].argmax(axis=0)]
        np.testing.assert_allclose(loudest, hertz, rtol=0.03)  # one row is 2 %
    assert levels[:, :columns][:, times > 0.2].max() < -50


@pytest.mark.parametrize("spike", [4_321, 9_999])
@pytest.mark.parametrize("norm", [50.0, np.nan])
def test_a_spike_survives_thinning(drawn, spike: int, norm: float) -> None:
    """Of 10,000 steps the spike is drawn, at its time."""
    norms = [[1.0]] * 10_000
    norms[spike] = [norm]
    upper, _, text = drawn(norms)
    label = "layer0" if np.isfinite(norm) else "not finite"
    line = next(line for line in upper.lines if line.get_label().strip() == label)
    x, y = line.get_data()

    np.testing.assert_allclose(x[np.nanargmax(y)], spike * 0.21)
    assert f"step {spike:,}: layer0" in text
    assert len(upper.lines[0].get_xdata()) <= MAX_STEPS


@pytest.mark.parametrize("layers", [1, 10, 11, 200])
def test_any_number_of_layers(drawn, layers: int) -> None:
    """Up to 10 layers are all in the legend, of more the first and the last."""
    norms = [[1.0 + k for k in range(layers)]] * 2
    upper, _, _ = drawn(norms, preset="perone2019")
    labels = [text.get_text() for text in upper.get_legend().get_texts()]

    assert len(upper.lines) == layers
    assert len(labels) == (layers if layers <= 10 else 2)


def test_bands_are_drawn_with_their_layers(drawn) -> None:
    """The legend names each band and its layers."""
    upper, _, _ = drawn([[1.0] * 9] * 2)
    labels = [text.get_text() for text in upper.get_legend().get_texts()]

    assert labels == [
        " early (layer0, layer1, layer2)",
        " middle (layer3, layer4, layer5)",
        " late (layer6, layer7, layer8)",
    ]


@pytest.mark.parametrize("row", [[None, None], [0.0, 0.0], [np.nan, np.inf]])
def test_runs_without_a_pitch(drawn, row: list[float | None]) -> None:
    """A run without gradients, with zeros only, or with NaN only has a picture."""
    drawn([row] * 3)


def test_any_name_is_in_the_legend(tmp_path: Path, monkeypatch) -> None:
    """Names with a leading underscore or TeX are in the legend unchanged."""
    names = ("_fc", "$\\frac{1}{2$", "x")
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, _: figures.append(figure))
    gradsound.plot(make_run([[1.0] * 3] * 2, names, "$\\frac{1}{2$"), tmp_path / "x.png")
    monkeypatch.undo()
    figures[0].savefig(tmp_path / "x.png")
    labels = [text.get_text() for text in figures[0].axes[0].get_legend().get_texts()]

    assert [label.strip() for label in labels] == list(names)


def test_one_step(drawn) -> None:
    """A run of one step has a picture."""
    drawn([[1.0]])


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_formats(tmp_path: Path, ending: str) -> None:
    """The file has the format of its ending."""
    path = tmp_path / f"x.{ending}"
    gradsound.plot(make_run([[1.0]] * 3), path)

    assert {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending] in path.read_bytes()


# Summaries


def test_numbers_of_a_run() -> None:
    """The summary has lowest, geometric mean and highest finite norm, and absent steps."""
    summary = summarize(make_run([[1.0, None], [4.0, np.nan], [2.0, 0.0], [np.inf, 3.0]]))

    assert (summary.steps, summary.seconds, summary.first_nonfinite) == (4, 1.0, 1)
    np.testing.assert_allclose(summary.lowest, [1.0, 0.0])
    np.testing.assert_allclose(summary.typical, [2.0, 3.0])
    np.testing.assert_allclose(summary.highest, [4.0, 3.0])
    assert summary.absent.tolist() == [0, 1]


def test_events_of_a_run() -> None:
    """A layer has one event for its first NaN or infinity, its peak, and 0 to the end."""
    norms: list[list[float | None]] = [[1.0, 1.0, 1.0, 1.0] for _ in range(50)]
    norms[7][0] = 20.0
    norms[9][0] = 30.0
    norms[9][1] = np.inf
    norms[10][1] = np.nan
    for row in norms[40:]:
        row[2] = 0.0
    norms[20][3] = 0.0

    assert describe(summarize(make_run(norms))) == [
        "step 9: layer1 infinite; layer0 peak 30, 26x typical",
        "step 40: layer2 0 from here on",
    ]


def test_skipped_steps_are_counted_apart() -> None:
    """A step that the scaler skipped makes no NaN event and no peak."""
    run = make_run([[1.0], [np.inf], [np.nan], [2.0]])
    steps = [replace(step, skipped=bool(step.nonfinite.any())) for step in run.steps]
    summary = summarize(replace(run, steps=steps))

    assert (summary.steps, summary.first_nonfinite) == (4, None)
    assert describe(summary) == ["skipped by the scaler: 2, from step 1 to 2"]


def test_clipping_is_described() -> None:
    """The summary counts the clipped steps and has the largest factor."""
    run = make_run([[3.0, 4.0, None]] * 3 + [[np.nan, np.nan, None]])
    factors = iter((1.0, 2.5, 1.5, 1.0))
    steps = [replace(step, raw=step.norms * next(factors)) for step in run.steps]
    lines = describe(summarize(replace(run, steps=steps)))

    assert lines[0] == "made smaller by clipping: 2 of 4 steps, 2.5 times at most"
    idle = [replace(step, raw=step.norms) for step in steps[:1]]
    unclipped = describe(summarize(replace(run, steps=idle)))
    assert unclipped[0].endswith("clipping: 0 of 1 steps")


def test_nan_of_one_layer_is_distinguished_from_nan_by_clipping() -> None:
    """Clipping by norm makes all layers NaN; the event names the layer with a raw NaN."""
    run = make_run([[1.0, 2.0], [np.nan, np.nan]])
    raw = [np.array([1.0, 2.0]), np.array([1.0, np.nan])]
    steps = [replace(step, raw=one) for step, one in zip(run.steps, raw)]

    assert "step 1: layer1 NaN" in describe(summarize(replace(run, steps=steps)))


def test_steps_left_out_are_counted() -> None:
    """Missing step numbers count as left out only in a run with a budget."""
    run = make_run([[1.0]] * 5)
    steps = [replace(step, number=3 * step.number) for step in run.steps]
    header = replace(run.header, budget=0.25)
    lines = describe(summarize(replace(run, header=header, steps=steps)))

    assert lines == ["not measured, to keep to the budget: 8 steps"]
    assert summarize(replace(run, steps=steps)).left_out == 0


def test_layers_that_never_had_a_gradient() -> None:
    """A layer without any gradient makes an event."""
    assert describe(summarize(make_run([[None, 1.0], [None, 1.0]]))) == [
        "step 0: layer0 without gradient throughout"
    ]


def test_a_healthy_run() -> None:
    """A run without events has a line that says so."""
    norms = [[1 + k % 7, 2.0] for k in range(100)]

    assert describe(summarize(make_run(norms))) == [
        "nothing NaN or infinite, no peak of 10x typical, nothing stays at 0"
    ]


def test_many_layers_share_a_line() -> None:
    """The same event in many layers takes one line."""
    norms = [[1.0] * 100 for _ in range(50)]
    norms[7] = [np.nan] * 100
    norms[9] = [20.0 + k for k in range(100)]
    lines = describe(summarize(make_run(norms)))

    assert lines[0] == "step 7: layer0 to layer99 (100 layers) NaN"
    assert lines[1].startswith("step 9: layer0 peak 20, 19x typical; layer1 peak 21, ")
    assert lines[1].endswith("x typical; and 96 more")


def test_many_events_are_cut() -> None:
    """After 8 lines of events, a last line counts the others."""
    norms = [[1.0] * 20 for _ in range(20)]
    for k in range(20):
        norms[k][k] = np.nan
    lines = describe(summarize(make_run(norms)))

    assert len(lines) == 9
    assert lines[-1] == "... and 12 more"
