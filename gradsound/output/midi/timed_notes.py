"""The notes of all scores of a run, at their times in milliseconds.

Shapes: K notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.output.midi.instruments import BREATH_KEY, alarm_keys, clang_keys
from gradsound.synth.score import SLOTS_PER_RUN
from gradsound.synth.voices.builtin import breath, clang, trace_builtin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from gradsound.synth.score import Score

TICKS_PER_SECOND = 1000
TIMED_NOTE = np.dtype(
    [
        ("begin", "i8"),  # tick
        ("end", "i8"),  # tick, after the beginning
        ("run", "i4"),  # index of the note's run, if there are several
        ("track", "i4"),  # index of its track in that run; -1 for alarm sounds
        ("slot", "i4"),  # tells notes of a track apart that sound at once
        ("voice", "i4"),  # index into the voices
        ("key", "i4"),  # percussion key; -1 for a note with a pitch
        ("continues", "?"),  # whether it is a part of a drone
        ("hertz", "f8", 2),  # at its two ends, as in a score
        ("level", "f8", 2),
        ("pan", "f8"),
    ]
)


class TimedNotes:
    """The notes of consecutive scores.

    Args:
        scores: Scores of one run, or of several that sound together.

    Attributes:
        notes: Shape (K,), of `TIMED_NOTE`, in order of their beginnings.
        voices: Name of each voice.
        end: Tick of the end of the last score.

    Example:
        >>> from gradsound.synth.score import NOTE, Score
        >>> from gradsound.synth.voices.builtin import find_voice
        >>> notes = np.zeros(2, NOTE)
        >>> notes["step"], notes["duration"], notes["level"] = [0, 1], 0.07, 0.1
        >>> score = Score((find_voice("bell"),), notes, np.array([0.2504, 0.2504]))
        >>> timed = TimedNotes([score])
        >>> timed.notes["begin"].tolist(), timed.end  # 2 x 250.4, not 2 x 250
        ([0, 250], 501)
    """

    def __init__(self, scores: Iterable[Score]) -> None:
        pieces, end = [np.zeros(0, TIMED_NOTE)], 0.0
        self.voices: list[str] = []
        for score in scores:
            starts = np.add.accumulate([end, *score.durations])  # as the mixer adds them
            pieces.append(_time_notes(score, starts))
            end = float(starts[-1])
            self.voices = [voice.name for voice in score.voices]
        notes = np.concatenate(pieces)
        self.notes: NDArray[np.void] = notes[np.lexsort((notes["slot"], notes["begin"]))]
        self.end = round(end * TICKS_PER_SECOND)


def _time_notes(score: Score, starts: NDArray[np.float64]) -> NDArray[np.void]:
    """Returns the audible notes of a score whose steps start at these seconds.

    Each time is rounded by itself: rounded differences would add up to a drift.
    """
    audible = score.notes["level"].any(axis=1)
    notes = score.notes[audible]
    begin = starts[notes["step"]] + notes["onset"]
    timed = np.zeros(len(notes), TIMED_NOTE)
    timed["begin"] = np.rint(begin * TICKS_PER_SECOND)
    timed["end"] = np.rint((begin + notes["duration"]) * TICKS_PER_SECOND)
    timed["end"] = np.maximum(timed["end"], timed["begin"] + 1)
    timed["run"], timed["slot"] = np.divmod(notes["slot"].astype(np.int64), SLOTS_PER_RUN)
    for name in ("track", "voice", "continues", "hertz", "level", "pan"):
        timed[name] = notes[name]
    timed["key"] = _percussion_keys(score, notes)
    return timed


def _percussion_keys(score: Score, notes: NDArray[np.void]) -> NDArray[np.intp]:
    """Returns the percussion of what has no pitch: clangs, breaths and alarm sounds."""
    hertz, is_alarm = notes["hertz"][:, 0], notes["track"] < 0
    clangs, breaths = (
        np.array([voice == trace_builtin(noise) for voice in score.voices], bool)
        for noise in (clang, breath)
    )
    return np.select(
        [is_alarm, clangs[notes["voice"]], breaths[notes["voice"]]],
        [alarm_keys(hertz), clang_keys(hertz), np.full(len(notes), BREATH_KEY)],
        -1,
    )
