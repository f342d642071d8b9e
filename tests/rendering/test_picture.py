"""gradsound.plot: norms, pitches, alarms, the sound, and the texts around them."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.pictures import draw, every, lane, line, tick_texts, with_values
from helpers.runs import make_run
from helpers.scores import PLAIN
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import gradsound
from gradsound.rendering.run_curves import MAX_STEPS
from gradsound.rendering.spectrogram import ROW_EDGES

LONG = "module.model.transformer_encoder.layers.{}.self_attention.output_{}"


def test_norms_are_at_their_steps() -> None:
    """Each band is a line through its norms at the numbers of the log's steps."""
    run = every(make_run([[1.0, 0.1], [10.0, None], [100.0, 0.2]]), 20)
    (axes,) = draw(run, preset=PLAIN).norms
    first, second = line(axes, "layer0"), line(axes, "layer1")

    np.testing.assert_allclose(first.get_xdata(), [0, 20, 40])
    np.testing.assert_allclose(first.get_ydata(), [1.0, 10.0, 100.0])
    np.testing.assert_allclose(second.get_ydata(), [0.1, np.nan, 0.2], rtol=1e-6)
    assert axes.get_xlim() == (pytest.approx(-0.3), 60)


@pytest.mark.parametrize("norms", [(1e-5, 3e-4), (0.7, 0.9), (4e4, 4e6), (1e-30, 1e30)])
def test_the_left_axis_fits_the_norms(norms: tuple[float, float]) -> None:
    """All norms are inside, and fill four fifths of the axis or an axis of a factor 2."""
    (axes,) = draw(make_run([[norm] for norm in norms] * 4)).norms
    low, high = axes.get_ylim()

    assert low < norms[0] < norms[1] < high
    filled = np.log(norms[1] / norms[0]) / np.log(high / low)
    assert filled > 0.8 or high / low < 2.5
    assert axes.get_yscale() == "log"
    assert 2 <= len(axes.get_yticks()) <= 9


@pytest.mark.parametrize("preset", ["notes", "ambient", "perone2019", "scan"])
def test_the_right_axis_has_the_pitches_that_sound(preset: str) -> None:
    """Beside each norm stands its pitch in each band; equal registers share a column."""
    chosen = gradsound.PRESETS[preset]
    picture = draw(make_run([[0.1, 0.2], [10.0, 20.0]] * 4), preset=preset)
    ticks = picture.norms[0].get_yticks()
    registers = [0.0] if chosen.register == 0 else [0.0, chosen.register]

    assert len(picture.columns) == len(registers)
    for column, semitones in zip(picture.columns, registers):
        hertz = [float(text.replace(",", "")) for text in tick_texts(column)]
        expected = chosen.pitch.transposed(semitones).hertz(ticks)
        np.testing.assert_allclose(hertz, expected, rtol=5e-3)  # three digits
        assert column.get_ylim() == picture.norms[0].get_ylim()


def test_a_moved_anchor_is_on_the_right_axis_and_in_words() -> None:
    """Norms of 1e5 have pitches within the range, and the picture says which."""
    picture = draw(make_run([[3e4], [1e5], [9e5]] * 20))

    assert "norm 1e5 is C4" in picture.header
    texts = dict(zip(tick_texts(picture.norms[0]), tick_texts(picture.columns[0])))
    assert texts["100,000"] == "262"
    assert "held" not in texts.values()


def test_norms_beyond_the_range_are_held() -> None:
    """Where the pitch no longer rises, the right axis says so."""
    norms = [[1.0], [2.0]] * 60 + [[1e3], [1e6], [1e9], [1e12]]
    texts = tick_texts(draw(make_run(norms)).columns[0])

    assert texts[0] == "262"
    assert texts[-2:] == ["held", "held"]
    assert "2,637" in texts


def test_a_running_baseline_has_no_fixed_pitches() -> None:
    """With a running baseline, the right axis has the pitch of the medians only."""
    preset = replace(gradsound.PRESETS["notes"], baseline="running")
    (column,) = draw(make_run([[1.0, 2.0]] * 4), preset=preset).columns

    assert tick_texts(column) == []
    assert column.get_ylabel() == "median: 262, 349 Hz"


def test_zero_has_a_place_below_all_norms() -> None:
    """A norm of 0 is marked in a lane called 0, and is no point of the line."""
    (axes,) = draw(make_run([[1.0], [0.0], [2.0], [0.0]])).norms

    np.testing.assert_allclose(line(axes, "layer0").get_ydata(), [1, np.nan, 2, np.nan])
    assert tick_texts(axes).index("0") == len(axes.get_yticks()) - 1
    assert axes.get_ylim()[0] < axes.get_yticks()[-1] < 1.0
    assert sorted(lane(axes, "0")) == [1, 3]


def test_nan_and_infinity_have_a_place_above_all_norms() -> None:
    """A norm that is not finite is marked in a lane of its own."""
    (axes,) = draw(make_run([[1.0], [np.nan], [2.0], [np.inf]])).norms

    assert sorted(lane(axes, "NaN, inf")) == [1, 3]


def test_bands_say_how_many_layers_they_gather() -> None:
    """The legend has each band, the number of its layers, the first and the last."""
    assert draw(make_run([[1.0] * 9] * 2)).legend() == [
        "early: 3 layers, layer0 to layer2",
        "middle: 3 layers, layer3 to layer5",
        "late: 3 layers, layer6 to layer8",
    ]


@pytest.mark.parametrize("layers", [1, 10, 11, 200])
def test_any_number_of_layers(layers: int) -> None:
    """Up to 10 layers are all in the legend, of more the first and the last."""
    picture = draw(make_run([[1.0 + k for k in range(layers)]] * 2), preset="perone2019")

    assert len(picture.norms[0].lines) >= layers
    assert len(picture.legend()) == (layers if layers <= 10 else 2)


@pytest.mark.parametrize("text", ["a word " * 60, "W" * 300, "short", "$\\frac{1}{2$ _x"])
@pytest.mark.parametrize("runs", [1, 2])
def test_all_texts_are_inside(text: str, runs: int) -> None:
    """Title, sentences, legends and labels end inside the picture, however long."""
    names = tuple(LONG.format(k, k) + text for k in range(4))
    run = make_run([[1.0, 2e3, 3.0, np.nan], [1.0, 0.0, 3e-9, 4.0]] * 8, names, text)
    run = with_values(replace(run, name=text), [{f"{text}_loss": 1.0, "lr": 1e-5}] * 16)
    figure = draw(*[run] * runs).figure
    figure.draw_without_rendering()
    width, height = figure.bbox.size

    for axes in figure.axes:
        legend = axes.get_legend()
        texts = [*axes.texts, *(legend.get_texts() if legend else [])]
        if axes.axison:
            texts += [axes.xaxis.label, axes.yaxis.label, *axes.get_yticklabels()]
        for one in texts:
            if one.get_text():
                box = one.get_window_extent()
                assert 0 <= box.x0 <= box.x1 <= width, one.get_text()
                assert 0 <= box.y0 <= box.y1 <= height, one.get_text()


@pytest.mark.parametrize("inches", [2.5, 5.0, 12.0])
def test_texts_on_a_users_axes_are_inside(inches: float) -> None:
    """On axes of any width, the legend is within the axes and the title in the figure."""
    axes = Figure((inches, 4.0), layout="constrained").subplots()
    run = make_run([[1.0, 2.0]] * 4, ("module." * 40, "W" * 200), "a comment " * 50)
    gradsound.plot(run, ax=axes)
    axes.figure.draw_without_rendering()
    legend, title = axes.get_legend().get_window_extent(), axes.title.get_window_extent()

    box = axes.get_window_extent()
    assert box.x0 <= legend.x0 <= legend.x1 <= box.x1
    assert 0 <= title.x0 <= title.x1 <= axes.figure.bbox.width
    assert title.y1 <= axes.figure.bbox.height


def test_names_are_in_the_legend_unchanged() -> None:
    """Names with a leading underscore or TeX are no markup."""
    names = ("_fc", "$\\frac{1}{2$", "x")

    assert draw(make_run([[1.0] * 3] * 2, names)).legend() == [*names]


def test_the_header_names_the_run() -> None:
    """The title has the comment, which steps are logged, and the preset."""
    picture = draw(every(make_run([[1.0]] * 3, comment="try 7"), 20), preset="chord")

    assert "try 7: 3 of 60 steps logged, every 20th, preset chord" in picture.header
    assert "no alarm" in picture.header


@pytest.mark.parametrize("comment", ["W" * 500, "a word " * 70, "a " + "path/" * 100])
def test_a_long_comment_leaves_the_facts(comment: str) -> None:
    """A title of any length has the steps and the preset, in three lines at most."""
    header = draw(make_run([[1.0]] * 3, comment=comment)).header
    title = header[: header.index("\npitch")].splitlines()

    assert " ".join(title).endswith(": 3 steps, preset notes")
    assert len(title) <= 3


def test_the_title_has_no_folder(tmp_path: Path) -> None:
    """The title of a run without a comment has the name of its file."""
    run = replace(make_run([[1.0]] * 3), name=str(tmp_path / "a.csv"))

    assert draw(run).header.startswith("a.csv: 3 steps")


@pytest.mark.parametrize("spike", [4_321, 9_999])
@pytest.mark.parametrize("norm", [50.0, np.nan])
def test_a_spike_survives_thinning(spike: int, norm: float) -> None:
    """Of 10,000 steps the highest norm and NaN are drawn, at their steps."""
    norms = [[1.0]] * 10_000
    norms[spike] = [norm]
    (axes,) = draw(make_run(norms)).norms

    if np.isnan(norm):
        assert lane(axes, "NaN, inf") == [spike]
    else:
        highest = axes.lines[0]
        assert highest.get_xdata()[np.nanargmax(highest.get_ydata())] == spike
        assert highest.get_ydata().max() == norm
    assert len(axes.lines[0].get_xdata()) <= MAX_STEPS


def test_a_long_run_has_a_line_of_its_usual_norm() -> None:
    """Above many noisy rows lies one smooth line, the running median."""
    rng = np.random.default_rng(3)
    noise = np.exp(rng.normal(0, 0.5, (5_000, 1)))
    (axes,) = draw(make_run(noise.tolist())).norms
    usual = line(axes, "layer0").get_ydata()

    assert np.abs(np.log(usual)).max() < 0.3  # the noise has peaks of 1.5 and more
    assert axes.lines[0].get_ydata().max() == pytest.approx(noise.max())


@pytest.mark.parametrize("row", [[None, None], [0.0, 0.0], [np.nan, np.nan]])
@pytest.mark.parametrize("count", [1, 3])
def test_runs_without_a_pitch(row: list[float | None], count: int) -> None:
    """A run without gradients, with zeros only, or with NaN only has a picture."""
    assert len(draw(make_run([row] * count)).sounds) == 1


# The sound


def test_the_spectrum_has_the_notes() -> None:
    """The loudest row of a column is the pitch of the note; silence is below -50 dB."""
    (sound,) = draw(make_run([[1.0, 10.0]] * 4), preset=PLAIN).sounds
    (mesh,) = sound.collections
    levels = mesh.get_array().reshape(len(ROW_EDGES) - 1, -1)  # (R, columns)
    columns = levels.shape[1] // 4
    times = (np.arange(columns) + 0.5) / columns * 0.28
    rows = np.sqrt(ROW_EDGES[:-1] * ROW_EDGES[1:])
    for start, end, hertz in ((0.02, 0.05, 440.0), (0.09, 0.12, 880.0)):
        inside = (times > start) & (times < end)
        loudest = rows[levels[:, :columns][:, inside].argmax(axis=0)]
        np.testing.assert_allclose(loudest, hertz, rtol=0.03)  # one row is 2 %
    assert levels[:, :columns][:, times > 0.2].max() < -50


def test_a_gap_in_the_steps_is_silent() -> None:
    """A moment sounds as long as usual, and not until the run goes on."""
    run = make_run([[1.0]] * 6)
    steps = [replace(one, number=k) for k, one in zip((0, 1, 2, 3, 30, 31), run.steps)]
    (sound,) = draw(replace(run, steps=steps)).sounds
    (mesh,) = sound.collections
    edges = mesh.get_coordinates()[0, :, 0]
    levels = mesh.get_array().reshape(len(ROW_EDGES) - 1, -1)

    gap = levels[:, (edges[:-1] >= 5) & (edges[1:] <= 30)]
    assert gap.size
    assert (gap.filled(-np.inf) < -50).all()
    assert (levels[:, (edges[:-1] >= 3) & (edges[1:] <= 4)] > -1).any()


def test_without_notes_there_is_no_sound_to_draw() -> None:
    """The preset `alarms` has neither a spectrogram nor pitches."""
    picture = draw(make_run([[1.0]] * 3), preset="alarms")

    assert (picture.sounds, picture.columns) == ([], [])
    assert "pitch" not in picture.header


# Files, axes and errors


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_formats(tmp_path: Path, ending: str) -> None:
    """The file has the format of its ending."""
    path = tmp_path / f"x.{ending}"
    gradsound.plot(make_run([[1.0]] * 3), path)

    assert {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending] in path.read_bytes()


def test_saving_draws_each_panel_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture is laid out when it is drawn, so to save it is one pass."""
    figure = draw(make_run([[1.0, 2.0]] * 3)).figure
    drawn: list[Axes] = []
    original = Axes.draw
    monkeypatch.setattr(Axes, "draw", lambda a, r: (drawn.append(a), original(a, r)))
    figure.savefig(tmp_path / "x.png")

    assert set(figure.axes) <= set(drawn)
    assert len(drawn) == len(set(drawn))


def test_steps_that_can_be_read_once(tmp_path: Path) -> None:
    """A run whose steps are an iterator is drawn as well."""
    run = make_run([[1.0], [2.0]])
    gradsound.plot(replace(run, steps=iter([*run.steps])), tmp_path / "once.svg")
    gradsound.plot(run, tmp_path / "again.svg")
    once, again = (
        re.findall(r'<path d="M [^"]*"', (tmp_path / f"{name}.svg").read_text())
        for name in ("once", "again")
    )

    assert once == again


def test_a_duration_that_is_too_short(tmp_path: Path) -> None:
    """A duration under 5 s is refused with its value."""
    with pytest.raises(ValueError, match="duration must be 5 s or more, got 2"):
        gradsound.plot(make_run([[1.0]]), tmp_path / "x.png", duration=2)


@pytest.mark.parametrize("empty", [0, 1])
def test_a_run_without_steps_is_named(tmp_path: Path, empty: int) -> None:
    """The error names the one of two runs that has no steps."""
    runs = [make_run([[1.0]]), make_run([[1.0]])]
    runs[empty] = replace(make_run([]), name="none.jsonl")
    with pytest.raises(ValueError, match=r"none\.jsonl: has no steps"):
        gradsound.plot(runs[0], tmp_path / "x.png", other=runs[1])
