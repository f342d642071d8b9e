"""Draws the picture of a run: the pitch of every track above the spectrogram of its sound.

Shapes: T tracks, S steps drawn.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from textwrap import shorten, wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.errors import MissingExtraError
from gradsound.music.composer import Composer
from gradsound.music.moments import Moment
from gradsound.music.presets import find_preset
from gradsound.music.tracks import Tracks
from gradsound.open_run import open_run_for_outputs
from gradsound.rendering.spectrogram import ROW_EDGES, draw_spectrogram
from gradsound.runs.summary import describe, summarize
from gradsound.synth.sample_rate import SAMPLE_RATE
from gradsound.synth.sequencer import MAX_PITCH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run, Step
    from gradsound.runs.summary import Summary
    from gradsound.synth.voices.builtin import Voice

MAX_STEPS = 1600  # drawn, about one a pixel; each group of a longer run shows its loudest
_NUMBER_WIDTH = 0.03  # of the picture; nearer step numbers would overlap
_LINE_CHARACTERS = 140  # in a line of events, as many as fit the width
_NAME_CHARACTERS = 40  # of a track's name, as many as fit the margin
_NAMED_TRACKS = 10  # in the legend, as many as there are distinguishable colours


def plot(
    run: Run | str | Path,
    path: str | Path | None = None,
    *,
    ax: Axes | None = None,
    preset: str | Preset = "notes",
    voice: Voice | None = None,
) -> None:
    r"""Draws a run: pitches over time, events, and the spectrogram of the sound.

    A run of more than 1600 steps shows one step of each group, the one with the largest
    norm.

    Args:
        run: A run, or the path of a run file. Drawing reads it twice.
        path: The picture to write, ending in .png, .svg or .pdf.
        ax: Axes of matplotlib to draw on, in place of a file; they get the pitches and
            events without the spectrogram.
        preset: How steps sound: the name of one of ``gradsound.PRESETS``, or a preset of
            your own.
        voice: The voice of all bands, as for `gradsound.render`.

    Raises:
        ValueError: If the preset or the ending is unknown, the run has no steps, or both
            or neither of ``path`` and ``ax`` are given.
        RunFormatError: If the run file is not a run.
        OSError: If a file cannot be read or written.
        MissingExtraError: If matplotlib is not installed.

    Example:
        >>> from pathlib import Path
        >>> import gradsound
        >>> _ = Path("metrics.csv").write_text("step,grad_norm/fc\n0,0.5\n1,0.25\n")
        >>> gradsound.plot("metrics.csv", "run.png")
        >>> Path("run.png").exists()
        True
    """
    if (path is None) == (ax is None):
        got = "neither" if path is None else f"{str(path)!r} and {type(ax).__name__}"
        raise ValueError(f"plot takes a path to write, or ax to draw on, got {got}")
    preset = find_preset(preset, voice)
    if path is None:
        title, _ = _draw(open_run_for_outputs(run, [], "draw it"), preset, ax)
        ax.set_title(title, parse_math=False)  # type: ignore[union-attr]
        return
    path = Path(path)
    if path.suffix[1:].lower() not in _new_figure().canvas.get_supported_filetypes():
        raise ValueError(f"{path}: a picture ends in .png, .svg or .pdf")
    draw(open_run_for_outputs(run, [path], "draw it"), preset).savefig(path)


def draw(run: Run, preset: Preset) -> Figure:
    """Returns the figure that `plot` writes, and raises the same errors."""
    figure = _new_figure()
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 2), sharey=True)
    title, summary = _draw(run, preset, upper, lower)
    events = [line for text in describe(summary) for line in wrap(text, _LINE_CHARACTERS)]
    figure.suptitle(title, x=0.01, ha="left", weight="bold", parse_math=False)
    upper.set_title("\n".join(events), loc="left", fontsize=9, parse_math=False)
    return figure


def _new_figure() -> Figure:
    try:
        from matplotlib.figure import Figure  # slow to import, and an extra
    except ImportError as error:
        raise MissingExtraError("matplotlib") from error
    return Figure(figsize=(11, 7), layout="constrained", dpi=110)


def _draw(run: Run, preset: Preset, upper: Any, lower: Any = None) -> tuple[str, Summary]:
    """Draws pitches and events, and on lower axes the spectrogram; returns the title."""
    summary = summarize(run)
    if not summary.steps:
        raise ValueError(f"{run.name}: has no steps, so there is nothing to draw")
    indices, steps = _select_steps(run, summary.steps)
    tracks = Tracks(run.header.layers, preset)
    layout = preset.layout(len(tracks.names))
    seconds = layout.duration  # of every step; the picture ignores drives of the tempo
    onsets = indices * seconds
    moments = [Moment(step.number, step) for step in steps]
    _draw_pitches(upper, tracks, onsets[:, None] + layout.onsets, moments)
    if lower is not None:
        composer = Composer(run.header.layers, preset)
        draw_spectrogram(lower, onsets, moments, composer, seconds)
    _draw_events(upper, summary, onsets, steps)
    _draw_axes(upper, lower, summary.steps * seconds, seconds)
    name = run.header.comment or run.name
    count = "1 step" if summary.steps == 1 else f"{summary.steps:,} steps"
    return f"{name}: {count}, preset {preset.name}", summary


def _select_steps(run: Run, total: int) -> tuple[NDArray[np.float64], list[Step]]:
    """Returns the steps to draw and their indices, shape (S,): each group's largest norm.

    NaN and infinity count as the largest norms.
    """
    group = -(-total // MAX_STEPS)
    indices, steps, largest = [], [], 0.0
    for index, step in enumerate(run.steps):
        peak = float(
            np.max(np.where(step.absent, -1.0, np.nan_to_num(step.norms, nan=np.inf)))
        )
        if index % group == 0:
            indices.append(index)
            steps.append(step)
            largest = peak
        elif peak > largest:
            indices[-1], steps[-1], largest = index, step, peak
    return np.array(indices, float), steps


def _draw_pitches(
    axes: Any, tracks: Tracks, onsets: NDArray[np.float64], moments: list[Moment]
) -> None:
    from matplotlib import colormaps

    states = tracks.states(moments)  # (S, T)
    finite = states.present & ~states.nonfinite
    hertz = np.where(finite, np.minimum(states.hertz, MAX_PITCH * SAMPLE_RATE), np.nan)
    few = len(tracks.names) <= _NAMED_TRACKS
    colours = colormaps["tab10" if few else "viridis"]
    for track, name in enumerate(tracks.descriptions()):
        colour = colours(track if few else track / (len(tracks.names) - 1))
        named = few or track in (0, len(tracks.names) - 1)
        axes.plot(
            onsets[:, track],
            hertz[:, track],
            ".-",
            color=colour,
            markersize=3,
            linewidth=0.6,
            # The space: matplotlib omits labels that begin with an underscore.
            label=f" {shorten(name, _NAME_CHARACTERS)}" if named else None,
        )
    if states.nonfinite.any():
        height = np.full(np.count_nonzero(states.nonfinite), 0.97)
        axes.plot(
            onsets[states.nonfinite],
            height,
            "|",
            color="crimson",
            markersize=9,
            markeredgewidth=0.5,
            transform=axes.get_xaxis_transform(),
            label="not finite",
        )
    legend = axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a layer's name may contain $


def _draw_axes(upper: Any, lower: Any, end: float, duration: float) -> None:
    upper.set(yscale="log", ylabel="pitch, Hz", xlim=(0, end), ylim=ROW_EDGES[[0, -1]])
    ticks = [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000]
    upper.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    upper.minorticks_off()
    upper.grid(alpha=0.3)
    lowest, position = (upper, "top") if lower is None else (lower, -0.28)
    if lower is not None:
        upper.tick_params(top=True, labeltop=False)
        lower.set_ylabel("sound, Hz")
    lowest.set_xlabel("seconds of sound")
    conversions = (lambda seconds: seconds / duration, lambda step: step * duration)
    step_axis = lowest.secondary_xaxis(position, functions=conversions)
    step_axis.set_xlabel("optimizer step")
    step_axis.xaxis.get_major_locator().set_params(integer=True)


def _draw_events(
    axes: Any, summary: Summary, onsets: NDArray[np.float64], steps: list[Step]
) -> None:
    numbers = [step.number for step in steps]
    free = -np.inf  # seconds; right end of the last number
    for number in sorted({event.step for event in summary.events}):
        onset = onsets[max(bisect_right(numbers, number) - 1, 0)]
        axes.axvline(onset, color="crimson", linewidth=0.8, linestyle=":")
        if onset >= free:
            axes.annotate(
                f" {number}",
                (onset, 0.01),
                xycoords=("data", "axes fraction"),
                fontsize=8,
            )
            free = onset + _NUMBER_WIDTH * onsets[-1]
