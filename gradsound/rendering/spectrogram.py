"""The spectrogram in the picture of a run: amplitudes of its sound over time and pitch.

Shapes: S moments drawn, N frames, W windows, K bins of the FFT, R rows of the spectrogram.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.rendering.axis_ticks import format_tick, log_ticks
from gradsound.synth.mixer import render
from gradsound.synth.sample_rate import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.music.composer import Composer
    from gradsound.music.moments import Moment
    from gradsound.synth.score import Score

ROW_EDGES = np.geomspace(50.0, 22_000.0, 306)  # Hz, (R + 1,); 35 rows an octave
_COLUMNS = 1600  # in the whole picture, about one a pixel
_WINDOWS = 4  # analysed for each column; the column shows the loudest, so no note is missed
_FFT_FRAMES = 4096  # zero-padded, so that the lowest rows are 11 Hz apart
_DECIBELS = (-50.0, 0.0)  # re the loudest; a quieter trace is the skirt of a window
_MARGIN = 8  # rows below and above those that sound
_GAP = 2.0  # times the usual width of a moment; a wider one begins with the moment
_SIZE = 8.0  # points, of the ticks


def draw_spectrogram(
    axes: Any,
    edges: NDArray[np.float64],
    moments: list[Moment],
    composer: Composer,
    duration: float,
) -> None:
    """Draws the spectrogram of a run's sound, with a colour bar in dB.

    The axis of pitches has the range that sounds.

    Args:
        axes: The matplotlib axes.
        edges: Where each moment begins on the x axis, and where the last ends, shape
            (S + 1,).
        moments: The S moments to render.
        composer: Composes their scores.
        duration: Seconds that each moment takes.
    """
    columns = max(_COLUMNS // len(moments), 1)  # of each moment
    window = 1 << min(round(composer.layout.note_seconds * SAMPLE_RATE).bit_length(), 11)
    begins, durations = np.zeros(1), np.full(1, duration)
    scores = (composer.compose([moment], begins, durations) for moment in moments)
    rows = np.hstack([_amplitudes(score, columns, window) for score in scores])
    levels = 20 * np.log10(np.maximum(rows / max(rows.max(), 1e-30), 1e-6))
    widths = np.diff(edges)
    sounding = np.minimum(widths, _GAP * np.median(widths))
    shares = np.arange(columns) / columns
    begins_of_columns = (edges[:-1, None] + sounding[:, None] * shares).ravel()
    gaps = np.flatnonzero(sounding < widths)  # the run has no steps there
    places = (gaps + 1) * columns
    begins_of_columns = np.insert(begins_of_columns, places, (edges[:-1] + sounding)[gaps])
    levels = np.insert(levels, places, -np.inf, axis=1)
    low, high = _DECIBELS
    mesh = axes.pcolormesh(
        np.append(begins_of_columns, edges[-1]),
        ROW_EDGES,
        levels,
        vmin=low,
        vmax=high,
        cmap="magma",
        rasterized=True,
    )
    bar = axes.inset_axes((1.01, 0.0, 0.012, 1.0))
    axes.figure.colorbar(mesh, cax=bar).set_label("dB", fontsize=_SIZE)
    bar.tick_params(labelsize=_SIZE)
    audible = np.flatnonzero((levels > low).any(axis=1))
    limits = ROW_EDGES[[0, -1]]
    if audible.size:
        first, last = max(audible[0] - _MARGIN, 0), audible[-1] + 1 + _MARGIN
        limits = ROW_EDGES[[first, min(last, len(ROW_EDGES) - 1)]]
    axes.set(yscale="log", ylim=limits, ylabel="sound, Hz", facecolor="black")
    ticks = log_ticks(*limits)
    axes.set_yticks(ticks, [format_tick(tick) for tick in ticks], fontsize=_SIZE)
    axes.minorticks_off()


def _amplitudes(score: Score, columns: int, window: int) -> NDArray[np.float64]:
    """Returns the amplitudes of one step's sound, the loudest in each cell, (R, columns).

    Args:
        score: The score of the step.
        columns: How many columns the step has.
        window: Frames of a window.
    """
    samples = render(score, SAMPLE_RATE)[:, 0]
    padded = np.pad(samples, window // 2)
    firsts = np.linspace(0, len(samples), columns * _WINDOWS, endpoint=False).astype(int)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, window)[firsts]  # (W, window)
    bins = np.abs(np.fft.rfft(pieces * np.hanning(window), _FFT_FRAMES))  # (W, K)
    loudest = bins.reshape(columns, _WINDOWS, -1).max(axis=1)  # (columns, K)
    first = np.round(ROW_EDGES * _FFT_FRAMES / SAMPLE_RATE).astype(int)
    return np.maximum.reduceat(loudest, first, axis=1)[:, :-1].T
