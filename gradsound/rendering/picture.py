"""A picture of a run: the pitch of every layer above the spectrum of its sound.

Shapes: B lines, S steps drawn, N frames, W windows, B bins, R rows of the spectrogram.
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
from gradsound.open_run import run_for
from gradsound.runs.summary import summarize, tell
from gradsound.synth.mixer import SAMPLE_RATE, render
from gradsound.synth.sequencer import LIMIT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run, Step
    from gradsound.runs.summary import Summary
    from gradsound.synth.score import Score
    from gradsound.synth.voices.builtin import Voice

_STEPS = 1600  # drawn at most, about one a pixel; of more, the loudest of each group
_COLUMNS = 1600  # of the spectrogram, about one a pixel
_ROWS = np.geomspace(50.0, 22_000.0, 306)  # Hz, their edges; 35 an octave
_WINDOWS = 4  # analysed for each column; the loudest is drawn, so no note is missed
_BINS = 4096  # of the FFT, zero-padded: the lowest rows are 11 Hz apart
_DECIBEL = (-50.0, 0.0)  # re the loudest; a quieter trace is a window's skirt
_APART = 0.03  # of the width; step numbers that are nearer would overlap
_TEXT = 140  # characters in a line about what happened
_NAME = 40  # characters of a name
_NAMED = 10  # lines in the legend, as many as colours that one can tell apart


def plot(
    run: Run | str | Path,
    path: str | Path | None = None,
    *,
    ax: Axes | None = None,
    preset: str | Preset = "notes",
    voice: Voice | None = None,
) -> None:
    """Draws a run: pitches over time, what happened, and the spectrum of the sound.

    Args:
        run: A run, or the path of a run file. It is read twice.
        path: Where to write; the ending (.png, .svg, .pdf) tells the format.
        ax: Axes of matplotlib to draw on instead; there is room for the pitches alone.
        preset: How steps sound: the name of one of ``gradsound.PRESETS``, or your own.
        voice: What sounds instead of the preset's voice, as for `gradsound.render`.

    Raises:
        ValueError: If the preset is unknown, the ending is, the run has no steps, or there
            is not one of path and ax.
        RunFormatError: If the run file is not one.
        OSError: If a file cannot be read or written.
        MissingExtraError: If matplotlib is not installed.
    """
    if (path is None) == (ax is None):
        got = "neither" if path is None else f"{str(path)!r} and {type(ax).__name__}"
        raise ValueError(f"plot takes a path to write, or ax to draw on, got {got}")
    preset = find_preset(preset, voice)
    if path is None:
        title, _ = _draw(run_for(run, [], "draw it"), preset, ax)
        ax.set_title(title, parse_math=False)  # type: ignore[union-attr]
        return
    path = Path(path)
    if path.suffix[1:].lower() not in _figure().canvas.get_supported_filetypes():
        raise ValueError(f"{path}: a picture ends in .png, .svg or .pdf")
    draw(run_for(run, [path], "draw it"), preset).savefig(path)


def draw(run: Run, preset: Preset) -> Figure:
    """The figure that `plot` writes; raises as that does."""
    figure = _figure()
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 2), sharey=True)
    title, summary = _draw(run, preset, upper, lower)
    told = "\n".join(line for text in tell(summary) for line in wrap(text, _TEXT))
    figure.suptitle(title, x=0.01, ha="left", weight="bold", parse_math=False)
    upper.set_title(told, loc="left", fontsize=9, parse_math=False)
    return figure


def _figure() -> Figure:
    try:
        from matplotlib.figure import Figure  # heavy, and optional
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot") from error
    return Figure(figsize=(11, 7), layout="constrained", dpi=110)


def _draw(run: Run, preset: Preset, upper: Any, lower: Any = None) -> tuple[str, Summary]:
    """Draws pitches, and the spectrum if there are axes for it; returns what to call it."""
    summary = summarize(run)
    if not summary.steps:
        raise ValueError(f"{run.name}: has no steps, so there is nothing to draw")
    places, steps = _thin(run, summary.steps)
    lines = Tracks(run.header.layers, preset)
    layout = preset.layout(len(lines.names))
    seconds = layout.duration  # of every step, as if nothing drove the tempo
    onsets = places * seconds
    moments = [Moment(step.number, step) for step in steps]
    _draw_pitches(upper, lines, onsets[:, None] + layout.onsets, moments)
    if lower is not None:
        _draw_spectrum(lower, onsets, moments, Composer(run.header.layers, preset), seconds)
    _draw_events(upper, summary, onsets, steps)
    _draw_axes(upper, lower, summary.steps * seconds, seconds)
    name = run.header.comment or run.name
    count = "1 step" if summary.steps == 1 else f"{summary.steps:,} steps"
    return f"{name}: {count}, preset {preset.name}", summary


def _thin(run: Run, total: int) -> tuple[NDArray[np.float64], list[Step]]:
    """The steps to draw and their places in the run, shape (S,); peaks survive."""
    group = -(-total // _STEPS)
    indices, steps, best = [], [], 0.0
    for index, step in enumerate(run.steps):
        peak = float(
            np.max(np.where(step.absent, -1.0, np.nan_to_num(step.norms, nan=np.inf)))
        )
        if index % group == 0:
            indices.append(index)
            steps.append(step)
            best = peak
        elif peak > best:
            indices[-1], steps[-1], best = index, step, peak
    return np.array(indices, float), steps


def _draw_pitches(
    axes: Any, lines: Tracks, onsets: NDArray[np.float64], moments: list[Moment]
) -> None:
    from matplotlib import colormaps

    heard = lines.hear(moments)  # (S, B)
    good = heard.present & ~heard.lost
    hertz = np.where(good, np.minimum(heard.hertz, LIMIT * SAMPLE_RATE), np.nan)
    few = len(lines.names) <= _NAMED
    colours = colormaps["tab10" if few else "viridis"]
    for line, name in enumerate(lines.described()):
        colour = colours(line if few else line / (len(lines.names) - 1))
        named = few or line in (0, len(lines.names) - 1)
        axes.plot(
            onsets[:, line],
            hertz[:, line],
            ".-",
            color=colour,
            markersize=3,
            linewidth=0.6,
            label=f" {shorten(name, _NAME)}" if named else None,  # "_x" would be left out
        )
    if heard.lost.any():
        height = np.full(np.count_nonzero(heard.lost), 0.97)
        axes.plot(
            onsets[heard.lost],
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
        text.set_parse_math(False)  # a $ in a name is a $


def _draw_axes(upper: Any, lower: Any, end: float, duration: float) -> None:
    upper.set(yscale="log", ylabel="pitch, Hz", xlim=(0, end), ylim=_ROWS[[0, -1]])
    ticks = [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000]
    upper.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    upper.minorticks_off()
    upper.grid(alpha=0.3)
    lowest, where = (upper, "top") if lower is None else (lower, -0.28)
    if lower is not None:
        upper.tick_params(top=True, labeltop=False)
        lower.set_ylabel("sound, Hz")
    lowest.set_xlabel("seconds of sound")
    scales = (lambda seconds: seconds / duration, lambda step: step * duration)
    numbers = lowest.secondary_xaxis(where, functions=scales)
    numbers.set_xlabel("optimizer step")
    numbers.xaxis.get_major_locator().set_params(integer=True)


def _draw_events(
    axes: Any, summary: Summary, onsets: NDArray[np.float64], steps: list[Step]
) -> None:
    numbers = [step.number for step in steps]
    free = -np.inf  # where the last number ended
    for number in sorted({event.step for event in summary.events}):
        onset = onsets[max(bisect_right(numbers, number) - 1, 0)]
        axes.axvline(onset, color="crimson", linewidth=0.8, linestyle=":")
        if onset >= free:
            where = (onset, 0.01)
            text = f" {number}"
            axes.annotate(text, where, xycoords=("data", "axes fraction"), fontsize=8)
            free = onset + _APART * onsets[-1]


def _draw_spectrum(
    axes: Any,
    onsets: NDArray[np.float64],
    moments: list[Moment],
    composer: Composer,
    duration: float,
) -> None:
    columns = max(_COLUMNS // len(moments), 1)  # a step
    window = 1 << min(round(composer.layout.note_seconds * SAMPLE_RATE).bit_length(), 11)
    begin, lasting = np.zeros(1), np.full(1, duration)
    scores = (composer.compose([moment], begin, lasting) for moment in moments)
    rows = np.hstack([_spectrum(score, columns, window) for score in scores])
    level = 20 * np.log10(np.maximum(rows / max(rows.max(), 1e-30), 1e-6))
    within = np.arange(columns) / columns * duration
    edges = np.append((onsets[:, None] + within).ravel(), onsets[-1] + duration)
    low, high = _DECIBEL
    mesh = axes.pcolormesh(
        edges, _ROWS, level, vmin=low, vmax=high, cmap="magma", rasterized=True
    )
    beside = axes.inset_axes((1.01, 0.0, 0.012, 1.0))
    axes.figure.colorbar(mesh, cax=beside, label="dB")


def _spectrum(score: Score, columns: int, window: int) -> NDArray[np.float64]:
    """Amplitudes of one step's sound, the loudest in each cell, shape (R, columns)."""
    samples = render(score, SAMPLE_RATE)[:, 0]
    padded = np.pad(samples, window // 2)
    firsts = np.linspace(0, len(samples), columns * _WINDOWS, endpoint=False).astype(int)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, window)[firsts]  # (W, window)
    bins = np.abs(np.fft.rfft(pieces * np.hanning(window), _BINS))  # (W, B)
    loudest = bins.reshape(columns, _WINDOWS, -1).max(axis=1)  # (columns, B)
    first = np.round(_ROWS * _BINS / SAMPLE_RATE).astype(int)
    return np.maximum.reduceat(loudest, first, axis=1)[:, :-1].T
