"""Draws pictures of made runs, and finds their panels and texts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gradsound.music.presets import find_preset
from gradsound.rendering.run_figure import RunFigure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run


@dataclass
class Picture:
    """The panels of a figure, from top to bottom."""

    figure: Figure
    norms: list[Axes]
    losses: list[Axes]
    sounds: list[Axes]
    columns: list[Axes]  # of pitches

    @property
    def header(self) -> str:
        """The title and the sentences below it."""
        return "\n".join(text.get_text() for text in self.figure.axes[0].texts)

    def legend(self) -> list[str]:
        """Returns the texts of the legends."""
        axes = [one for one in self.figure.axes if one.get_legend()]
        return [
            text.get_text().strip() for a in axes for text in a.get_legend().get_texts()
        ]


def draw(*runs: Run, preset: str | Preset = "notes", duration: float | None = None):
    """Returns the picture of runs."""
    figure = RunFigure(runs, find_preset(preset, None), duration).draw()
    axes = figure.axes
    return Picture(
        figure,
        [one for one in axes if one.get_ylabel() == "norm of the gradient"],
        [one for one in axes if one.get_ylabel() == "loss"],
        [one for one in axes if one.get_ylabel() == "sound, Hz"],
        [one for one in axes if one.yaxis.get_label_position() == "right"],
    )


def line(axes: Axes, label: str) -> Line2D:
    """Returns the line with a label."""
    return next(one for one in axes.lines if one.get_label().strip() == label)


def lane(axes: Axes, label: str) -> list[float]:
    """Returns where the lane of a label has marks."""
    labels = [text.get_text() for text in axes.get_yticklabels()]
    height = axes.get_yticks()[labels.index(label)]
    marks = [one for one in axes.lines if one.get_marker() == "|"]
    return [
        float(x)
        for one in marks
        for x, y in zip(*one.get_data())
        if abs(y / height - 1) < 1e-9
    ]


def tick_texts(axes: Axes) -> list[str]:
    """Returns the texts on the y axis, from bottom to top."""
    return [text.get_text() for text in axes.get_yticklabels()]


def with_values(run: Run, values: Sequence[Mapping[str, float]]) -> Run:
    """Returns a run with values, those of each step."""
    steps = [replace(step, values=one) for step, one in zip(run.steps, values)]
    return replace(run, steps=steps)


def every(run: Run, distance: int) -> Run:
    """Returns a run whose steps are so far apart."""
    steps = [replace(step, number=step.number * distance) for step in run.steps]
    return replace(run, steps=steps)
