"""The spectrogram in the picture of a run: amplitudes of its sound over time and pitch.

Shapes: S moments, W windows of a column, K bins of the FFT, R rows, M columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from gradsound.synth.mixer import Mixer
from gradsound.synth.sample_rate import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.composer import Composer
    from gradsound.music.moments import Moment
    from gradsound.music.textures import Layout
    from gradsound.synth.score import Score

ROW_EDGES = np.geomspace(50.0, 22_000.0, 306)  # Hz, (R + 1,); 35 rows an octave
SILENCE = -50.0  # dB re the loudest; a quieter trace is the skirt of a window
COLUMNS_MAX = 1000  # in the whole picture, at most about one a pixel
_FEW_COLUMNS = 4  # of a moment; fewer are stripes without a rhythm, so it has one
_WINDOWS = 4  # analysed for each column at least; the column shows the loudest
_NOTE_WINDOWS = 2  # analysed for each note at least, so no note is missed
_WINDOWS_AT_ONCE = 32  # their spectra take 1 MB, which the processor's cache holds
_FFT_FRAMES = 4096  # zero-padded, so that the lowest rows are 11 Hz apart
_FIRST_BINS = np.round(ROW_EDGES * _FFT_FRAMES / SAMPLE_RATE).astype(int)  # (R + 1,)
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
        moments: The S moments to render, at most `COLUMNS_MAX`.
        composer: Composes their score.
        duration: Seconds that each moment takes.
    """
    count, layout = len(moments), composer.layout
    columns = COLUMNS_MAX // count  # of each moment
    columns = columns if columns >= _FEW_COLUMNS else 1
    times = np.arange(count, dtype=np.float64) * duration
    score = composer.compose(moments, times, np.full(count, duration))
    note = duration / layout.duration * layout.note_seconds
    size = 1 << min(round(note * SAMPLE_RATE).bit_length(), 11)
    middles = _place_windows(layout, columns) * duration
    margin = size / 2 / SAMPLE_RATE  # a window contains no sound of other moments
    middles = np.clip(middles, margin, max(duration - margin, margin))
    frames = np.rint((times[:, None, None] + middles) * SAMPLE_RATE).astype(int)
    powers = _loudest(score, frames.reshape(-1, middles.shape[1]), size).T
    levels = 10 * np.log10(np.maximum(powers / max(powers.max(), 1e-60), 1e-12))
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


def _place_windows(layout: Layout, columns: int) -> NDArray[np.float64]:
    """Returns the middle of each window, as a share of the moment, shape (columns, W).

    Args:
        layout: The layout of a moment.
        columns: How many columns the moment has.
    """
    notes, span = layout.duration / layout.note_seconds, 1.0
    if columns == 1:  # no window in the rest
        span = layout.notes_end / layout.duration
        notes = round(layout.notes_end / layout.note_seconds)
        if layout.polyphony == 1:  # the windows stand in the middle of notes
            return _spread(notes * ceil(_WINDOWS / notes), 1) * span
    needed = ceil(_NOTE_WINDOWS * notes / columns)
    return _spread(max(_WINDOWS, needed), columns) * span


def _spread(windows: int, columns: int) -> NDArray[np.float64]:
    """Returns places from 0 to 1 at even distances, shape (columns, W)."""
    count = windows * columns
    return ((np.arange(count) + 0.5) / count).reshape(columns, windows)


def _loudest(score: Score, frames: NDArray[np.intp], size: int) -> NDArray[np.float64]:
    """Returns the powers of columns: of each row, that of the loudest window, (M, R).

    Args:
        score: The score of the sound.
        frames: The frame in the middle of each window of a column, ascending, (M, W).
        size: Frames of a window.
    """
    mixer, taper = Mixer(SAMPLE_RATE, channels=1), np.hanning(size)
    mixer.add(score)
    samples, begin = np.zeros(0, np.float32), 0  # from this frame on
    powers = np.empty((len(frames), len(ROW_EDGES) - 1))
    at_once = ceil(_WINDOWS_AT_ONCE / frames.shape[1])
    for first in range(0, len(frames), at_once):
        columns = frames[first : first + at_once]
        starts = columns.ravel() - size // 2
        past = starts[0] - begin  # samples that no window needs any more
        ahead = starts[-1] + size - mixer.sequencer.frame
        new = mixer.read(ahead)[max(past - len(samples), 0) :, 0]
        samples, begin = np.append(samples[past:], new), starts[0]
        pieces = np.lib.stride_tricks.sliding_window_view(samples, size)[starts - begin]
        bins = np.fft.rfft(pieces * taper, _FFT_FRAMES)
        loudest = np.square(bins.real) + np.square(bins.imag)  # (M W, K)
        loudest = loudest.reshape(*columns.shape, -1).max(axis=1)
        rows = np.maximum.reduceat(loudest, _FIRST_BINS, axis=1)[:, :-1]
        powers[first : first + at_once] = rows
    return powers
