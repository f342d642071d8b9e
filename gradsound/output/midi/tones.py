"""Tones: what begins and ends once on a channel, a note or a whole drone with its glides.

Shapes: K notes, P points.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.output.midi.timed_notes import TimedNotes

    # Index of the run, index of its track, rank of the note among those at once.
    Part: TypeAlias = tuple[int, int, int]

KEYS = 127  # the highest key, of 12,544 Hz; key 0 has 8.2 Hz
_GLIDE_TICKS = 10  # between two points of a glide, at least
_GLIDE_SEMITONES = 0.02  # between two points of a glide, unless they are as near in time
_RANGE_MAX = 64  # semitones; FluidSynth takes no range above 72
_DEFAULT_RANGE = 2  # semitones of a bend in General MIDI, if nothing sets it


@dataclass(frozen=True, slots=True, eq=False)
class Tone:
    """A note, or a drone from its beginning to its silence.

    Attributes:
        part: The part that plays it.
        begin: Tick at which it begins.
        end: Tick at which it ends.
        key: Its key, 0 to 127.
        voice: Index of its voice.
        pan: -1 left to 1 right.
        sustained: Whether it is a drone.
        ticks: Tick of each point at which its pitch or level is set, shape (P,).
        bends: Semitones above the key at each point, shape (P,).
        levels: Linear level at each point, shape (P,).
    """

    part: Part
    begin: int
    end: int
    key: int
    voice: int
    pan: float
    sustained: bool
    ticks: NDArray[np.int64]
    bends: NDArray[np.float64]
    levels: NDArray[np.float64]


def semitones(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns pitches as keys with fractions, held at the lowest and the highest key.

    Example:
        >>> semitones(np.array([440.0, 880.0, 20_000.0])).tolist()
        [69.0, 81.0, 127.0]
    """
    keys: NDArray[np.float64] = np.clip(69 + 12 * np.log2(hertz / 440), 0, KEYS)
    return keys


def make_tones(timed: TimedNotes, *, glides: bool = True) -> list[Tone]:
    """Returns the notes with a pitch as tones, in order of their beginnings.

    Args:
        timed: The notes of all scores.
        glides: Whether a drone is one tone that glides; otherwise each of its steps is a
            tone that stands at the pitch and level in which the step ends.
    """
    notes = timed.notes[timed.notes["key"] < 0]
    if not glides:
        for name in ("hertz", "level"):
            notes[name] = notes[name][:, 1:]
        notes = notes[notes["level"][:, 0] > 0]
    by_part: dict[tuple[int, int, int], list[int]] = {}
    for k, (run, track, slot) in enumerate(notes[["run", "track", "slot"]].tolist()):
        by_part.setdefault((run, track, slot), []).append(k)
    tones: list[Tone] = []
    ranks: dict[tuple[int, int], int] = {}
    for run, track, slot in sorted(by_part):
        part = run, track, ranks.setdefault((run, track), 0)
        ranks[run, track] += 1
        tones += _tones_of_part(part, notes[by_part[run, track, slot]], glides=glides)
    return sorted(tones, key=lambda tone: (tone.begin, tone.part))


def bend_range(tones: Sequence[Tone]) -> int:
    """Returns the range of bends in semitones: that of General MIDI, if the tones fit.

    Without glides they do, so an instrument that cannot change its range plays them too.
    """
    bends = np.concatenate([np.zeros(1), *(tone.bends for tone in tones)])
    return max(_DEFAULT_RANGE, ceil(float(np.abs(bends).max())))


def _tones_of_part(part: Part, notes: NDArray[np.void], *, glides: bool) -> list[Tone]:
    """Returns the tones of one part.

    Args:
        part: The part.
        notes: Its notes in order of their beginnings, shape (K,).
        glides: As for `make_tones`.
    """
    begins = np.ones(len(notes), bool)
    if glides:
        begins[1:] = ~notes["continues"][1:] | (notes["begin"][1:] > notes["end"][:-1])
    firsts = np.flatnonzero(begins)
    ticks, pitches, levels, counts = _points(notes)
    edges = np.append(0, np.cumsum(counts))[np.append(firsts, len(notes))].tolist()
    lasts = np.append(firsts[1:], len(notes)) - 1
    tones = []
    for k, (first, last) in enumerate(zip(notes[firsts], notes[lasts])):
        points = slice(edges[k], edges[k + 1])
        key = _nearest_key(pitches[points])
        tones.append(
            Tone(
                part,
                int(first["begin"]),
                int(last["end"]),
                key,
                int(first["voice"]),
                float(first["pan"]),
                bool(first["continues"]),
                ticks[points],
                pitches[points] - key,
                levels[points],
            )
        )
    return tones


def _nearest_key(pitches: NDArray[np.float64]) -> int:
    """Returns the key of a tone with these pitches, shape (P,), in semitones.

    SoundFont 2 takes the range of bends for 127/128 of itself, so most of a drone is near
    its key.
    """
    if len(pitches) == 1:
        return round(float(pitches[0]))
    low, high = pitches.max() - _RANGE_MAX, pitches.min() + _RANGE_MAX
    return round(float(np.clip(np.median(pitches), low, high)))


def _points(
    notes: NDArray[np.void],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Returns ticks, pitches in semitones and levels at the points of notes, shape (P,).

    A glide is even in Hz, as the synthesizer's own. A note that stands has one point. The
    last array has the number of points of each note, shape (K,).
    """
    pitches = semitones(notes["hertz"])
    spans = notes["end"] - notes["begin"]
    moves = np.ceil(np.abs(np.diff(pitches, axis=1)[:, 0]) / _GLIDE_SEMITONES)
    moves = np.where(np.diff(notes["level"], axis=1)[:, 0] == 0, moves, np.inf)
    counts = np.maximum(np.minimum(moves, spans // _GLIDE_TICKS), 1).astype(np.int64)
    firsts = np.repeat(np.cumsum(counts) - counts, counts)
    share = (np.arange(counts.sum()) - firsts) / np.repeat(counts, counts)

    def between(ends: NDArray[np.float64]) -> NDArray[np.float64]:
        ends = np.repeat(ends, counts, axis=0)
        values: NDArray[np.float64] = ends[:, 0] + share * (ends[:, 1] - ends[:, 0])
        return values

    times = between(np.stack([notes["begin"], notes["end"]], axis=1).astype(float))
    hertz, levels = between(notes["hertz"]), between(notes["level"])
    return np.rint(times).astype(np.int64), semitones(hertz), levels, counts
