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
    from collections.abc import Iterable, Iterator, Sequence

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
    origin, now = frame(start, sample_rate), start
    alike = defaultdict(list)  # notes that share one matrix
    for score in scores:
        for first, frames, note in placed(score, now, sample_rate):
            alike[note.voice, note.fade, frames].append((first - origin, note))
        now += score.duration
    samples = np.zeros((frame(now, sample_rate) - origin, CHANNELS), np.float32)
    for (voice, fade, frames), found in alike.items():
        for k in range(0, len(found), _TOGETHER):
            firsts, notes = zip(*found[k : k + _TOGETHER])
            for first, tone in zip(firsts, tones(voice, fade, notes, frames, sample_rate)):
                samples[first : first + frames, 0] += tone
    return samples


def placed(score: Score, start: float, sample_rate: int) -> Iterator[tuple[int, int, Note]]:
    """Yields the notes of a score that begins at ``start`` s: first frame, frames, note."""
    for note in score.notes:
        first = frame(start + note.onset, sample_rate)
        last = frame(start + note.onset + note.duration, sample_rate)
        yield first, last - first, note


def tones(
    voice: str, fade: float, notes: Sequence[Note], frames: int, sample_rate: int
) -> Samples:
    """Notes of one voice, fade and length, shape (K, frames)."""
    hertz = np.array([held(note.hertz, voice, sample_rate) for note in notes])
    level = np.array([note.level for note in notes])
    phase = hertz[:, None] / sample_rate * np.arange(frames)  # turns
    edges = _edges(frames, frame(fade, sample_rate))
    return (level[:, None] * VOICES[voice].wave(phase) * edges).astype(np.float32)


def held(hertz: float, voice: str, sample_rate: int) -> float:
    """The pitch that sounds: so low that the voice stays under ``LIMIT``."""
    return min(hertz, LIMIT * sample_rate / VOICES[voice].bandwidth)


def frame(seconds: float, sample_rate: int) -> int:
    """The frame at a moment."""
    return round(seconds * sample_rate)


def _edges(frames: int, fade: int) -> NDArray[np.float64]:
    """Raised-cosine ends, shape (frames,)."""
    envelope = np.ones(frames)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / fade) if fade else 1.0
    envelope[:fade] = ramp
    envelope[frames - fade :] *= np.flip(ramp)
    return envelope
