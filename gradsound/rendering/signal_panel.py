"""The panels of signals in a picture: a panel for each signal, a curve for each band."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.rendering.axis_ticks import format_tick, log_ticks
from gradsound.rendering.curves import draw_curve
from gradsound.rendering.loss_panel import mark_nonfinite
from gradsound.rendering.norm_panel import band_styles
from gradsound.rendering.panel_legend import legend_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.rendering.curves import Curves
    from gradsound.rendering.norm_panel import Series

_LABELS = {"update_ratio": "update ratio"}
_GUIDES = {  # numbers with a meaning for the ear, as in gradsound.music.articulation
    "update_ratio": ((1e-3, "usual length"),),
    "snr": ((0.05, "noise"), (0.6, "pure")),
}
_RANGE_MIN = 10.0  # times; a smaller range is noise
_MARGIN = 1.3  # times the highest number, and below the lowest
_ZERO = 3.0  # times below the lowest number is the line of 0
_TICKS_MAX = 4
_SIZE = 8.0  # points, of the ticks
_LABEL_SIZE = 9.0  # points; a panel is as high as the longest label
_NAME_WIDTH = 290.0  # points, of a run in the legend


def signal_names(series: Sequence[Series]) -> list[str]:
    """Returns the names of the signals that a run has, each once."""
    return [*dict.fromkeys(name for one in series for name in one.curves.signals)]


def draw_signal(axes: Any, series: Sequence[Series], name: str) -> None:
    """Draws one signal of runs, in the colours of their bands.

    Args:
        axes: The matplotlib axes.
        series: The runs.
        name: The name of the signal.
    """
    having = [one for one in series if name in one.curves.signals]
    curves = [one.curves.signals[name] for one in having]
    low, high = _range(curves, [number for number, _ in _GUIDES.get(name, ())])
    bottom = low / _ZERO if any((one.lowest == 0).any() for one in curves) else low
    for one, own in zip(having, curves):
        label = legend_label(one.label, _NAME_WIDTH) if one.label else "_one"
        drawn = _above(own, bottom)
        for track, (colour, _) in enumerate(band_styles(one)):
            draw_curve(axes, drawn, track, colour, label)
            label = "_known"  # the panel of norms explains the colours
        mark_nonfinite(axes, own, label="_inf")
    axes.set_yscale("log")
    axes.set_ylim(bottom / _MARGIN, high * _MARGIN)
    ticks = log_ticks(low / _MARGIN, high * _MARGIN, _TICKS_MAX)
    texts = [format_tick(tick) for tick in ticks]
    if bottom < low:
        ticks, texts = [bottom, *ticks], ["0", *texts]
    axes.set_yticks(ticks, texts, fontsize=_SIZE)
    axes.minorticks_off()
    for number, meaning in _GUIDES.get(name, ()):
        axes.axhline(number, color="0.5", linestyle="--", linewidth=0.7, zorder=0)
        axes.text(
            1.005,
            number,
            meaning,
            transform=axes.get_yaxis_transform(),
            color="0.35",
            fontsize=_SIZE,
            verticalalignment="center",
        )
    axes.set_ylabel(_LABELS.get(name, name), fontsize=_LABEL_SIZE)
    axes.grid(alpha=0.25)


def _range(curves: Sequence[Curves], guides: Sequence[float]) -> tuple[float, float]:
    """Returns the lowest and the highest number above 0, with the guides among them."""
    arrays = [array.ravel() for one in curves for array in (one.lowest, one.highest)]
    numbers = np.concatenate([*arrays, guides])
    numbers = numbers[numbers > 0]
    if not numbers.size:
        return 0.1, 1.0
    low, high = float(numbers.min()), float(numbers.max())
    return min(low, high / _RANGE_MIN), high


def _above(curves: Curves, bottom: float) -> Curves:
    """Returns curves with numbers of 0 at the bottom of a logarithmic axis."""
    raised = {
        field: np.maximum(getattr(curves, field), bottom)
        for field in ("lowest", "usual", "highest")
    }
    return replace(curves, **raised)
