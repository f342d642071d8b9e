"""The figure of a picture: its panels, one above another, over the steps of the runs."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.errors import MissingExtraError
from gradsound.music.anchor import anchor_text, fit_anchor
from gradsound.music.composer import Composer
from gradsound.music.fit_duration import fit_duration
from gradsound.rendering.loss_panel import draw_losses, has_values
from gradsound.rendering.norm_panel import (
    LANE_HEIGHT,
    Series,
    count_lanes,
    draw_norms,
    find_limits,
)
from gradsound.rendering.run_curves import CurveReader
from gradsound.rendering.sound_clock import read_clock
from gradsound.rendering.spectrogram import draw_spectrogram
from gradsound.rendering.text_fitting import break_lines, shorten_middle
from gradsound.runs.model import repeatable, short_names
from gradsound.summary.description import describe_faults, describe_steps
from gradsound.summary.run_summary import summarize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run

_WIDTH = 11.0  # inches
_TEXT_WIDTH = 680.0  # points; the longest tick labels leave so much on the right
_TITLE_SIZE, _LINE_SIZE, _TICK_SIZE = 12.0, 9.0, 8.0  # points
_TITLE_HEIGHT, _LINE_HEIGHT = 0.22, 0.165  # inches
_NORM_HEIGHT, _LOSS_HEIGHT, _SOUND_HEIGHT = 2.7, 1.2, 1.5  # inches
_PANEL_MARGIN = 0.35  # inches, for the legend above a panel
_AXES_HEIGHT = 0.9  # inches, of both axes at the bottom
_TIME_AXIS = 0.4  # inches, from the axis of the steps to that of the time
_EDGE = 0.005  # of the steps, before the first one, so that its point is whole
_LABEL_WIDTH = 150.0  # points, of a run's name in a legend of two runs
_TWO_COLOURS = ("0.15", "tab:purple")


def new_figure(height: float = 1.0) -> Figure:
    """Returns an empty figure.

    Args:
        height: Height in inches.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # slow to import, and an extra
    except ImportError as error:
        raise MissingExtraError("matplotlib") from error
    return Figure(figsize=(_WIDTH, height), layout="constrained", dpi=110)


class RunFigure:
    """The panels of a picture, with the data of the runs.

    Args:
        runs: One run, or two.
        preset: How they sound.
        duration: Longest sound in seconds.
    """

    def __init__(self, runs: Sequence[Run], preset: Preset, duration: float | None) -> None:
        new_figure()  # raises before the reading, which may take long
        runs = [*map(repeatable, runs)]
        self._summaries = [summarize(run) for run in runs]
        for run, summary in zip(runs, self._summaries):
            if not summary.steps:
                raise ValueError(f"{run.name}: has no steps, so there is nothing to draw")
        preset = fit_anchor(preset, runs)
        self._clock = read_clock(runs, preset)
        merged, layers = 1, [run.header.layers for run in runs]
        if duration is not None:
            preset, merged = fit_duration(preset, layers, self._clock.rows, duration)
        self._preset = preset
        self._curves = [
            CurveReader(run, preset, summary.steps, merged, self._clock).read()
            for run, summary in zip(runs, self._summaries)
        ]
        self._composers = [Composer(names, preset) for names in layers]
        self._moment_seconds = max(one.layout.duration for one in self._composers)
        self._step_seconds = self._moment_seconds / merged
        self._series = [Series(self._curves[0])]
        if len(runs) > 1:
            names = short_names(runs)
            self._series = [
                Series(curves, shorten_middle(name, _LABEL_WIDTH, _LINE_SIZE), colour)
                for curves, name, colour in zip(self._curves, names, _TWO_COLOURS)
            ]

    def draw_on(self, axes: Any) -> None:
        """Draws norms, pitches and alarms on a user's axes."""
        draw_norms(axes, self._series, self._preset, find_limits(self._curves), None)
        self._draw_steps(axes, "top")
        width = 72 * axes.get_position().width * axes.figure.get_figwidth()
        titles = [
            line
            for title in self._titles()
            for line in break_lines(title, width, axes.title.get_size(), lines_max=3)
        ]
        axes.set_title("\n".join(titles), parse_math=False)

    def draw(self) -> Figure:
        """Returns the figure with all panels."""
        panels = self._norm_panels()
        header = self._header()
        lanes = [1 + LANE_HEIGHT * (count_lanes(panel) + 1) for panel in panels]
        heights = [_TITLE_HEIGHT * len(header[0]) + _LINE_HEIGHT * len(header[1])]
        heights += [_NORM_HEIGHT * factor / len(panels) ** 0.5 for factor in lanes]
        if has_values(self._series):
            heights.append(_LOSS_HEIGHT)
        if self._preset.texture != "none":
            heights += [_SOUND_HEIGHT / len(self._curves) ** 0.5] * len(self._curves)
        margins = _PANEL_MARGIN * (len(heights) - 1) + _AXES_HEIGHT
        figure = new_figure(sum(heights) + margins)
        top, *axes = figure.subplots(len(heights), height_ratios=heights)
        for one in axes[1:]:
            one.sharex(axes[0])
        for one in axes[:-1]:
            one.tick_params(labelbottom=False)
        _write_header(top, *header, heights[0])
        lowest, limits = axes[-1], find_limits(self._curves)
        for panel in panels:
            draw_norms(axes.pop(0), panel, self._preset, limits, _TEXT_WIDTH)
        if has_values(self._series):
            draw_losses(axes.pop(0), self._series, _TEXT_WIDTH)
        for one, composer, series in zip(axes, self._composers, self._series):
            edges = np.append(series.curves.norms.steps, self._clock.span[1])
            moments = series.curves.moments
            draw_spectrogram(one, edges, moments, composer, self._moment_seconds)
            style = {"color": "white", "fontsize": _LINE_SIZE, "parse_math": False}
            place = {"transform": one.transAxes, "verticalalignment": "top"}
            one.text(0.01, 0.95, series.label, **style, **place)
        self._draw_steps(lowest, -_TIME_AXIS / heights[-1])
        figure.align_ylabels()
        return figure

    def _norm_panels(self) -> list[list[Series]]:
        """Returns the runs of each panel: one run, or all that have a single band."""
        if all(len(curves.tracks.bands) == 1 for curves in self._curves):
            return [self._series]
        if len(self._series) == 1:
            return [self._series]
        return [[Series(one.curves, one.label)] for one in self._series]

    def _titles(self) -> list[str]:
        """Returns the title of each run."""
        return [
            f"{curves.name}: {describe_steps(summary.logged)}, preset {self._preset.name}"
            for curves, summary in zip(self._curves, self._summaries)
        ]

    def _header(self) -> tuple[list[str], list[str]]:
        """Returns the lines of the title, and the sentences below it."""
        bands = max(len(curves.tracks.bands) for curves in self._curves)
        sentences = []
        if self._preset.texture != "none":
            sentences.append(f"pitch: {anchor_text(self._preset, bands)}")
        for one, summary in zip(self._series, self._summaries):
            name = f"{one.label}, " if one.label else ""
            texts = [*describe_faults(summary), *one.curves.lanes.sentences()]
            sentences += [f"{name}{text}" for text in texts]
        titles = (
            break_lines(title, _TEXT_WIDTH, _TITLE_SIZE, "bold") for title in self._titles()
        )
        lines = (break_lines(text, _TEXT_WIDTH, _LINE_SIZE) for text in sentences)
        return [*chain.from_iterable(titles)], [*chain.from_iterable(lines)]

    def _draw_steps(self, axes: Any, time_axis: str | float) -> None:
        """Draws the axis of the steps, and the axis of the time at which they sound."""
        begin, end = self._clock.span
        axes.set_xlim(begin - _EDGE * (end - begin), end)
        axes.set_xlabel("step")
        axes.tick_params(axis="x", labelsize=_TICK_SIZE)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
        steps, times = self._clock.ticks(self._step_seconds)
        second = axes.secondary_xaxis(time_axis)
        second.set_xlabel("time in the sound")
        second.set_ticks(steps, labels=times, fontsize=_TICK_SIZE)


def _write_header(
    axes: Any, titles: Sequence[str], lines: Sequence[str], height: float
) -> None:
    """Writes the title and the sentences; their lines fill the height in inches."""
    axes.axis("off")
    place = 1.0
    sized = [(line, _TITLE_SIZE, "bold", _TITLE_HEIGHT) for line in titles]
    sized += [(line, _LINE_SIZE, "normal", _LINE_HEIGHT) for line in lines]
    for line, size, weight, line_height in sized:
        axes.text(
            0.0,
            place,
            line,
            fontsize=size,
            weight=weight,
            verticalalignment="top",
            parse_math=False,
        )
        place -= line_height / height
