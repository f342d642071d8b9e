"""From a score to samples, by numpy, many notes at a time.

Notes begin and end in silence within their score, so scores join without a click and
there is no phase to carry from one to the next.

Shapes: N frames, C channels (here 1), K notes.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradsound.synth.voices import VOICES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gradsound.score import Note, Score

Samples: TypeAlias = NDArray[np.float32]  # (N, C), nominally -1..1, never 1-D

CHANNELS = 1
LIMIT = 0.45  # of the sample rate: nothing sounds above, and nothing folds back
_TOGETHER = 64  # notes; more gains no speed and takes memory


def render(scores: Iterable[Score], sample_rate: int, start: float = 0.0) -> Samples:
    """Renders scores, one after the other.

    Args:
        scores: What to play.
        sample_rate: Frames a second, in Hz.
        start: When the first score begins within the whole piece, in seconds. All times
            are rounded to frames of the whole, so rounding never adds up.

    Returns:
        The samples, shape (N, C); N frames reach from ``start`` to the end of the last
        score.
    """
    origin, now = _frame(start, sample_rate), start
    alike = defaultdict(list)  # notes that share one matrix
    for score in scores:
        for note in score.notes:
            first = _frame(now + note.onset, sample_rate) - origin
            last = _frame(now + note.onset + note.duration, sample_rate) - origin
            alike[note.voice, note.fade, last - first].append((first, note))
        now += score.duration
    samples = np.zeros((_frame(now, sample_rate) - origin, CHANNELS), np.float32)
    for (voice, fade, frames), placed in alike.items():
        edges = _edges(frames, round(fade * sample_rate))
        for k in range(0, len(placed), _TOGETHER):
            firsts, notes = zip(*placed[k : k + _TOGETHER])
            tones = _tones(voice, notes, frames, sample_rate) * edges  # (K, frames)
            for first, tone in zip(firsts, tones.astype(np.float32)):
                samples[first : first + frames, 0] += tone
    return samples


def held(hertz: float, voice: str, sample_rate: int) -> float:
    """The pitch that sounds: so low that the voice stays under ``LIMIT``."""
    return min(hertz, LIMIT * sample_rate / VOICES[voice].bandwidth)


def _frame(seconds: float, sample_rate: int) -> int:
    return round(seconds * sample_rate)


def _tones(
    voice: str, notes: Iterable[Note], frames: int, sample_rate: int
) -> NDArray[np.float64]:
    """Notes of one voice and length without their edges, shape (K, frames)."""
    hertz = np.array([held(note.hertz, voice, sample_rate) for note in notes])
    level = np.array([note.level for note in notes])
    phase = hertz[:, None] / sample_rate * np.arange(frames)  # turns
    return level[:, None] * VOICES[voice].wave(phase)


def _edges(frames: int, fade: int) -> NDArray[np.float64]:
    """Raised-cosine ends, shape (frames,)."""
    envelope = np.ones(frames)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / fade) if fade else 1.0
    envelope[:fade] = ramp
    envelope[frames - fade :] *= np.flip(ramp)
    return envelope
