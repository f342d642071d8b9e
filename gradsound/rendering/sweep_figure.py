"""The figure of several runs: a panel of norms for each, and one with all losses."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from math import floor, log10
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.music.pitch_sentence import pitch_sentence
from gradsound.rendering.axis_ticks import format_tick
from gradsound.rendering.figure_data import read_runs
from gradsound.rendering.figure_header import (
    LINE_SIZE,
    TEXT_WIDTH,
    header_height,
    write_header,
)
from gradsound.rendering.figure_layout import lay_out, new_figure
from gradsound.rendering.norm_panel import (
    Series,
    draw_norms,
    find_limits,
    find_range,
    panel_height,
)
from gradsound.rendering.panel_legend import draw_legend, legend_label
from gradsound.rendering.step_axis import draw_times, share_steps
from gradsound.rendering.sweep_losses import draw_sweep_losses, has_losses
from gradsound.rendering.text_fitting import break_lines
from gradsound.summary.alarm_lines import count_alarms
from gradsound.summary.description import describe_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from gradsound.music.presets import Preset
    from gradsound.rendering.curves import Curves
    from gradsound.rendering.run_curves import RunCurves
    from gradsound.runs.model import Run

_NORM_HEIGHT, _LOSS_HEIGHT = 2.7, 2.2  # inches
_PANEL_MARGIN, _AXES_HEIGHT = 0.36, 1.0  # inches, of a legend and of the axes below
_CAPTION_WIDTH = 620.0  # points, of the text above a panel
_DECADES_MAX = 8  # of norm on the axis; one diverging run would flatten all others
# Without red, green and grey, the colours of alarms.
_COLOURS = (
    *("tab:blue", "tab:orange", "tab:purple", "tab:brown"),
    *("tab:pink", "tab:olive", "tab:cyan", "navy"),
)


class SweepFigure:
    """A panel for each run, over the same steps and norms, and one of all losses.

    Args:
        runs: Three to eight runs.
        preset: How they sound.
        duration: Longest sound in seconds.
    """

    def __init__(self, runs: Sequence[Run], preset: Preset, duration: float | None) -> None:
        new_figure()  # raises before the reading, which may take long
        self._data = read_runs(runs, preset, duration)
        self._range = find_range(self._data.curves)
        self._window = _find_window(self._data.curves)
        self._series = [
            Series(_hold(curves, self._window), name, colour)
            for name, curves, colour in zip(self._data.names, self._data.curves, _COLOURS)
        ]

    def draw(self) -> Figure:
        """Returns the figure."""
        header, losses = self._header(), has_losses(self._series)
        inches = _NORM_HEIGHT / len(self._series) ** 0.5
        heights = [header_height(*header)]
        heights += [panel_height([one], inches) for one in self._series]
        heights += [_LOSS_HEIGHT] * losses
        margins = _PANEL_MARGIN * (len(heights) - 1) + _AXES_HEIGHT
        figure = new_figure(sum(heights) + margins)
        top, *axes = figure.subplots(len(heights), height_ratios=heights)
        write_header(top, *header)
        share_steps(axes, self._data.clock.span)
        limits = find_limits([one.curves for one in self._series])
        for panel, one in zip(axes, self._series):
            several = len(one.curves.tracks.bands) > 1
            shown = replace(one, colour=None) if several else one
            draw_norms(panel, [shown], self._data.preset, limits, inches)
            panel.set_ylabel("norm" if one.curves.ranks is None else "rank")
            self._draw_legend(panel, one)
        if losses:
            draw_sweep_losses(axes[-1], self._series, TEXT_WIDTH)
        draw_times(axes[-1], self._data.clock, self._data.step_seconds, heights[-1])
        lay_out(figure)
        return figure

    def _header(self) -> tuple[list[str], list[str]]:
        """Returns the title, and the sentences about pitches and norms."""
        preset, sentences = self._data.preset, []
        if preset.texture != "none":
            bands = max(len(one.curves.tracks.bands) for one in self._series)
            sentences.append(f"pitch: {pitch_sentence(preset, bands)}")
        (lowest, highest), (low, high) = self._range, self._window
        beyond = [f"below {format_tick(low)}"] if lowest < low else []
        beyond += [f"above {format_tick(high)}"] if highest > high else []
        if beyond:
            sentences.append(f"norms {' and '.join(beyond)} are drawn at the edge")
        lines = (break_lines(text, TEXT_WIDTH, LINE_SIZE) for text in sentences)
        title = f"{len(self._series)} runs, preset {preset.name}"
        return [title], [*chain.from_iterable(lines)]

    def _draw_legend(self, axes: Any, one: Series) -> None:
        """Draws the legend of a panel: the run, its steps, its alarms and its comment."""
        summary, comment = one.curves.summary, one.curves.run.header.comment
        handles, labels = axes.get_legend_handles_labels()
        has_ranks = one.curves.ranks is not None
        if has_ranks:  # the legend explains their colours, so the text has its own place
            handles, labels = [*axes.plot([], [], " "), *handles], ["", *labels]
        if has_ranks or len(one.curves.tracks.bands) == 1:
            alarms = count_alarms(summary.alarms) or "no alarm"
            text = f"{one.label}: {describe_steps(summary.logged)}, {alarms}"
            text += f"; {comment}" if comment else ""
            labels[0] = legend_label(text, _CAPTION_WIDTH)
        draw_legend(axes, handles, labels, TEXT_WIDTH)


def _find_window(runs: Sequence[RunCurves]) -> tuple[float, float]:
    """Returns between which norms curves are drawn: eight decades around the usual run."""
    low, high = find_range(runs)
    if high / low <= 10.0**_DECADES_MAX:
        return low, high
    usual = [one.norms.usual[~np.isnan(one.norms.usual)] for one in runs]
    middle = np.median([np.median(norms) for norms in usual if norms.size])
    top = round(float(np.log10(middle))) + _DECADES_MAX // 2
    top = min(max(top, floor(log10(low)) + _DECADES_MAX), floor(log10(high)))
    return max(low, 10.0 ** (top - _DECADES_MAX)), 10.0**top


def _hold(curves: RunCurves, limits: tuple[float, float]) -> RunCurves:
    """Returns curves whose norms stay at the limits where they would be beyond."""
    return replace(
        curves,
        norms=_hold_curves(curves.norms, limits),
        unclipped=_hold_curves(curves.unclipped, limits),
        unapplied=_hold_curves(curves.unapplied, limits),
    )


def _hold_curves(curves: Curves, limits: tuple[float, float]) -> Curves:
    return replace(
        curves,
        highest=curves.highest.clip(*limits),
        lowest=curves.lowest.clip(*limits),
        usual=curves.usual.clip(*limits),
    )
