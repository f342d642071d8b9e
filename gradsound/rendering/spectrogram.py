"""The spectrogram in the picture of a run: amplitudes of its sound over time and pitch.

Shapes: S moments, N frames, W windows, K bins of the FFT, R rows, M columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from gradsound.synth.mixer import render
from gradsound.synth.sample_rate import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.composer import Composer
    from gradsound.music.moments import Moment
    from gradsound.synth.score import Score

ROW_EDGES = np.geomspace(50.0, 22_000.0, 306)  # Hz, (R + 1,); 35 rows an octave
SILENCE = -50.0  # dB re the loudest; a quieter trace is the skirt of a window
_COLUMNS = 1000  # in the whole picture, at most about one a pixel
_FEW_COLUMNS = 4  # of a moment; fewer are stripes without a rhythm, so it has one
_WINDOWS = 4  # analysed for each column; the column shows the loudest
_NOTE_WINDOWS = 2  # analysed for each note at least, so no note is missed
_FFT_FRAMES = 4096  # zero-padded, so that the lowest rows are 11 Hz apart
_MARGIN = 8  # rows below and above those that sound
_GAP = 2.0  # times the usual width of a moment; a wider one begins with the moment


@dataclass(frozen=True, slots=True, eq=False)
class Spectrogram:
    """The levels of a run's sound.

    Attributes:
        edges: The step at which each column begins, and the last one ends, shape (M + 1,).
        levels: In dB re the loudest, shape (R, M); -inf where the run has no steps.
    """

    edges: NDArray[np.float64]
    levels: NDArray[np.float64]

    @property
    def sounding_rows(self) -> NDArray[np.intp]:
        """Indices of the rows that sound, in ascending order."""
        return np.flatnonzero((self.levels > SILENCE).any(axis=1))


def analyse(
    begins: NDArray[np.float64],
    end: float,
    moments: Sequence[Moment],
    composer: Composer,
    duration: float,
) -> Spectrogram:
    """Returns the spectrogram of a run's sound.

    Args:
        begins: The step at which each moment begins, shape (S,).
        end: The step at which the picture ends, after the last moment.
        moments: The S moments to render.
        composer: Composes their scores.
        duration: Seconds that each moment takes.
    """
    columns = _COLUMNS // len(moments)  # of each moment
    columns = columns if columns >= _FEW_COLUMNS else 1
    note = composer.layout.note_seconds * SAMPLE_RATE  # frames
    window = 1 << min(round(note).bit_length(), 11)
    scores = (
        composer.compose([moment], np.zeros(1), np.full(1, duration)) for moment in moments
    )
    rows = np.hstack([_amplitudes(score, columns, window, note) for score in scores])
    # More columns than pixels would hide some, so a column may have several moments.
    firsts = np.arange(0, rows.shape[1], ceil(rows.shape[1] / _COLUMNS))
    rows = np.maximum.reduceat(rows, firsts, axis=1)
    begins = begins[firsts[::columns] // columns]
    levels = 20 * np.log10(np.maximum(rows / max(rows.max(), 1e-30), 1e-6))
    widths = np.diff(begins, append=end)
    sounding = np.minimum(widths, _GAP * np.median(widths))
    edges = (begins[:, None] + sounding[:, None] * np.arange(columns) / columns).ravel()
    gaps = np.flatnonzero(sounding < widths)  # the run has no steps there
    places = (gaps + 1) * columns
    edges = np.insert(edges, places, (begins + sounding)[gaps])
    return Spectrogram(np.append(edges, end), np.insert(levels, places, -np.inf, axis=1))


def pitch_limits(spectrograms: Sequence[Spectrogram]) -> tuple[float, float]:
    """Returns the range in Hz that sounds in any of them."""
    rows = np.concatenate([one.sounding_rows for one in spectrograms])
    if not rows.size:
        return float(ROW_EDGES[0]), float(ROW_EDGES[-1])
    first, last = max(rows.min() - _MARGIN, 0), rows.max() + 1 + _MARGIN
    return float(ROW_EDGES[first]), float(ROW_EDGES[min(last, len(ROW_EDGES) - 1)])


def _amplitudes(
    score: Score, columns: int, window: int, note: float
) -> NDArray[np.float64]:
    """Returns the amplitudes of one step's sound, the loudest in each cell, (R, columns).

    Args:
        score: The score of the step.
        columns: How many columns the step has.
        window: Frames of a window.
        note: Frames of a note.
    """
    samples = render(score, SAMPLE_RATE)[:, 0]
    needed = ceil(_NOTE_WINDOWS * len(samples) / note / columns)
    windows = columns * max(_WINDOWS, needed)
    padded = np.pad(samples, window // 2)
    firsts = np.linspace(0, len(samples), windows, endpoint=False).astype(int)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, window)[firsts]  # (W, window)
    bins = np.abs(np.fft.rfft(pieces * np.hanning(window), _FFT_FRAMES))  # (W, K)
    loudest = bins.reshape(columns, -1, bins.shape[1]).max(axis=1)  # (columns, K)
    first = np.round(ROW_EDGES * _FFT_FRAMES / SAMPLE_RATE).astype(int)
    return np.maximum.reduceat(loudest, first, axis=1)[:, :-1].T
