"""The figure of a picture: its panels, one above another, over the steps of the runs."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from gradsound.music.composer import Composer
from gradsound.music.pitch_sentence import pitch_sentence
from gradsound.rendering.figure_data import read_runs
from gradsound.rendering.figure_header import (
    LINE_SIZE,
    TEXT_WIDTH,
    TITLE_SIZE,
    header_height,
    write_header,
)
from gradsound.rendering.figure_layout import lay_out, new_figure
from gradsound.rendering.loss_panel import draw_losses, has_values
from gradsound.rendering.norm_panel import (
    Series,
    draw_norms,
    find_limits,
    panel_height,
)
from gradsound.rendering.panel_legend import axes_width, draw_own_legend
from gradsound.rendering.signal_panel import draw_signal, signal_names
from gradsound.rendering.sound_panel import draw_sounds
from gradsound.rendering.spectrogram import analyse
from gradsound.rendering.step_axis import draw_steps, draw_times, share_steps
from gradsound.rendering.text_fitting import break_lines, shorten_middle, text_width
from gradsound.summary.description import describe, describe_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from gradsound.music.presets import Preset
    from gradsound.rendering.run_curves import RunCurves
    from gradsound.rendering.spectrogram import Spectrogram
    from gradsound.runs.model import Run

_NORM_HEIGHT, _SIGNAL_HEIGHT, _LOSS_HEIGHT, _SOUND_HEIGHT = 2.7, 0.8, 1.2, 1.5  # inches
_PANEL_MARGIN = 0.35  # inches, for the legend above a panel
_AXES_HEIGHT = 0.9  # inches, of both axes at the bottom
_SENTENCES_MAX = 16  # of each run; a picture has no room for more
_SHORT = 0.2  # of the steps of a picture; a shorter run would be a sliver
_LABEL_WIDTH = 150.0  # points, of a run's name in a legend of two runs
_TWO_COLOURS = ("0.15", "tab:purple")


class RunFigure:
    """The panels of a picture, with the data of the runs.

    Args:
        runs: One run, or two.
        preset: How they sound.
        duration: Longest sound in seconds.
    """

    def __init__(self, runs: Sequence[Run], preset: Preset, duration: float | None) -> None:
        new_figure()  # raises before the reading, which may take long
        self._data = read_runs(runs, preset, duration)
        self._curves, self._clock = self._data.curves, self._data.clock
        self._preset = self._data.preset
        self._sounding = [] if self._preset.texture == "none" else self._curves
        self._series = [Series(self._curves[0])]
        if len(runs) > 1:
            self._series = [
                Series(curves, shorten_middle(name, _LABEL_WIDTH, LINE_SIZE), colour)
                for curves, name, colour in zip(
                    self._curves, self._data.names, _TWO_COLOURS
                )
            ]

        self._signals = signal_names(self._series)

    def draw_on(self, axes: Any) -> None:
        """Draws norms, pitches and alarms on a user's axes."""
        draw_steps(axes, self._clock.span)
        draw_norms(axes, self._series, self._preset, find_limits(self._curves))
        draw_own_legend(axes, None)
        draw_times(axes, self._clock, self._data.step_seconds, None)
        width = axes_width(axes)
        titles = self._titles(width, axes.title.get_size(), axes.title.get_weight())
        axes.set_title("\n".join(titles), parse_math=False)

    def draw(self) -> Figure:
        """Returns the figure with all panels."""
        norms, header = self._norm_panels(), self._header()
        heights = self._heights(norms, header)
        spans = self._spans(norms)
        alone = [span for span in spans if span is not None]
        margins = _PANEL_MARGIN * (len(spans) + len(alone)) + _AXES_HEIGHT
        figure = new_figure(sum(heights) + margins)
        top, *axes = figure.subplots(len(heights), height_ratios=heights)
        write_header(top, *header)
        sharing = [panel for panel, span in zip(axes, spans) if span is None]
        share_steps(sharing, self._clock.span)
        for panel, span in zip(axes, spans):
            if span is not None:
                draw_steps(panel, span)
        sounds = axes[len(axes) - len(self._sounding) :]
        limits = find_limits(self._curves)
        for panel, series in zip(axes, norms):
            inches = _NORM_HEIGHT / len(norms) ** 0.5
            draw_norms(panel, series, self._preset, limits, inches)
            draw_own_legend(panel, TEXT_WIDTH)
        signals = axes[len(norms) : len(norms) + len(self._signals)]
        for panel, name in zip(signals, self._signals):
            draw_signal(panel, self._series, name)
            if len(self._series) > 1:
                draw_own_legend(panel, TEXT_WIDTH)
        if has_values(self._series):
            draw_losses(axes[len(norms) + len(signals)], self._series, TEXT_WIDTH)
        if self._sounding:
            labels = [one.label for one in self._series]
            draw_sounds(sounds, labels, [*map(self._analyse, self._sounding)])
        for panel in sharing[-1:]:
            height = heights[1 + axes.index(panel)]
            draw_times(panel, self._clock, self._data.step_seconds, height)
        lay_out(figure)
        return figure

    def _heights(
        self, norms: Sequence[Sequence[Series]], header: tuple[list[str], list[str]]
    ) -> list[float]:
        """Returns the height of the header and of each panel in inches."""
        heights = [header_height(*header)]
        inches = _NORM_HEIGHT / len(norms) ** 0.5
        heights += [panel_height(series, inches) for series in norms]
        heights += [_SIGNAL_HEIGHT] * len(self._signals)
        heights += [_LOSS_HEIGHT] * has_values(self._series)
        sounds = len(self._sounding)
        return heights + [_SOUND_HEIGHT / max(sounds, 1) ** 0.5] * sounds

    def _spans(self, norms: Sequence[Sequence[Series]]) -> list[tuple[float, float] | None]:
        """Returns the span of each panel that has steps of its own; None for the others."""
        alone = [one.span if self._is_short(one) else None for one in self._curves]
        first = alone if len(norms) > 1 else [None]
        shared = [None] * (len(self._signals) + has_values(self._series))
        return [*first, *shared, *alone[: len(self._sounding)]]

    def _is_short(self, curves: RunCurves) -> bool:
        """Returns whether a run is too short for the steps of the picture."""
        begins, ends = zip(curves.span, self._clock.span)
        return bool(ends[0] - begins[0] < _SHORT * (ends[1] - begins[1]))

    def _analyse(self, curves: RunCurves) -> Spectrogram:
        composer = Composer(curves.run.header.layers, self._preset)
        end, seconds = curves.span[1], self._data.moment_seconds
        return analyse(curves.moment_steps, end, curves.moments, composer, seconds)

    def _norm_panels(self) -> list[list[Series]]:
        """Returns the runs of each panel: one run, or two of one band and alike length."""
        if len(self._curves) == 1 or all(
            len(curves.tracks.bands) == 1 and not self._is_short(curves)
            for curves in self._curves
        ):
            return [self._series]
        return [[Series(one.curves, one.label)] for one in self._series]

    def _titles(self, width: float, size: float, weight: str) -> list[str]:
        """Returns the lines of the titles: the name of each run, its steps, the preset.

        They fit a width in points. A long name loses its middle, so that the rest stays.
        """
        lines = []
        for curves, file_name in zip(self._curves, self._data.names):
            steps = describe_steps(curves.summary.logged)
            rest = f": {steps}, preset {self._preset.name}"
            space = 2 * width - text_width(rest, size, weight)
            name = curves.run.header.comment or file_name
            title = shorten_middle(name, space, size, weight) + rest
            lines += break_lines(title, width, size, weight, lines_max=3)
        return lines

    def _header(self) -> tuple[list[str], list[str]]:
        """Returns the lines of the title, and the sentences below it."""
        bands = max(len(curves.tracks.bands) for curves in self._curves)
        sentences = []
        if self._preset.texture != "none":
            sentences.append(f"pitch: {pitch_sentence(self._preset, bands)}")
        for one in self._series:
            name = f"{one.label}, " if one.label else ""
            texts = describe(one.curves.summary, _SENTENCES_MAX)
            sentences += [f"{name}{text}" for text in texts]
        lines = (break_lines(text, TEXT_WIDTH, LINE_SIZE) for text in sentences)
        titles = self._titles(TEXT_WIDTH, TITLE_SIZE, "bold")
        return titles, [*chain.from_iterable(lines)]
