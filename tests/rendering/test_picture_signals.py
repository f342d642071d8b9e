"""The panels of signals in a picture: a curve for each band, and what numbers mean."""

from dataclasses import replace

import numpy as np
from helpers.pictures import draw, tick_texts
from helpers.runs import make_run, with_signals

NAN = np.nan


def panel(picture, label: str):
    """Returns the axes with a label; None without them."""
    axes = [one for one in picture.figure.axes if one.get_ylabel() == label]
    return axes[0] if axes else None


def test_a_signal_has_a_panel_with_a_curve_for_each_band() -> None:
    """Its curves have the colours of the norms, and gaps where it was not measured."""
    run = make_run([[1.0, 2.0]] * 4)
    ratios = [[0.001, 0.01], [NAN, NAN], [0.002, NAN], [0.004, 0.02]]
    picture = draw(with_signals(run, update_ratio=ratios.__getitem__))
    axes = panel(picture, "update ratio")
    first, second, guide = axes.lines

    np.testing.assert_allclose(first.get_data(), [[0, 2, 3], [0.001, 0.002, 0.004]])
    np.testing.assert_allclose(second.get_ydata(), [0.01, NAN, 0.02])
    colours = [line.get_color() for line in picture.norms[0].lines[:2]]
    assert [first.get_color(), second.get_color()] == colours
    assert guide.get_ydata()[0] == 0.001
    assert [text.get_text() for text in axes.texts] == ["usual length"]
    assert axes.get_yscale() == "log"
    assert panel(picture, "snr") is None


def test_zeros_are_a_line_below_all_numbers() -> None:
    """A logarithm has no 0, so weights that stand still have a tick of their own."""
    run = make_run([[1.0]] * 3)
    axes = panel(
        draw(with_signals(run, update_ratio=lambda n: [0.0 if n else 0.005])),
        "update ratio",
    )
    bottom = axes.get_yticks()[0]

    assert tick_texts(axes)[0] == "0"
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.005, bottom, bottom])
    assert axes.get_ylim()[0] < bottom < 0.001


def test_every_signal_of_two_runs_has_one_panel() -> None:
    """Each run has its colour, and its name in the legend."""
    one = with_signals(make_run([[1.0, 1.0]] * 3), snr=[0.05, 0.1], zeros=[0.0, 0.0])
    other = with_signals(make_run([[2.0]] * 3), snr=[0.6])
    picture = draw(replace(one, name="healthy"), replace(other, name="still"))
    axes = panel(picture, "snr")

    assert len({line.get_color() for line in axes.lines[:3]}) == 2
    legend = [text.get_text().strip() for text in axes.get_legend().get_texts()]
    assert legend == ["healthy", "still"]
    assert panel(picture, "zeros") is not None
    assert len(picture.norms) == 2
    assert len(picture.sounds) == 2


def test_clicks_are_not_missing_in_the_spectrogram() -> None:
    """Notes of weights that stand still are drawn at their usual length."""
    run = make_run([[1.0, 2.0]] * 20)
    levels = [
        draw(one).sounds[0].collections[0].get_array().reshape(-1)
        for one in (run, with_signals(run, update_ratio=[0.0, 0.0]))
    ]

    np.testing.assert_array_equal(*levels)


def test_the_names_of_signals_are_inside_of_the_picture() -> None:
    """A name is no higher than its panel, and not cut off at the left."""
    signals = {"update_ratio": [0.001], "snr": [0.1], "zeros": [0.0]}
    picture = draw(with_signals(make_run([[1.0]] * 3), **signals))
    picture.figure.canvas.draw()
    for name in ("update ratio", "snr", "zeros"):
        axes = panel(picture, name)
        text, frame = axes.yaxis.label.get_window_extent(), axes.get_window_extent()
        assert text.x0 > 0
        assert frame.y0 < text.y0 < text.y1 < frame.y1
