"""The notes of a sound as events, for the page that plays them.

Shapes: M moments, K notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.rendering.packed_arrays import differences
from gradsound.rendering.predicted_levels import encode_levels
from gradsound.synth.score import SLOTS_PER_RUN
from gradsound.synth.sequencer import Sequencer
from gradsound.synth.voices.program import CONTROLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.moments import Moment
    from gradsound.synth.score import Score
    from gradsound.synth.voices.program import Program

# An event of `gradsound.synth.events` with its voice and its track. It begins so many
# frames after its moment. Of a pair of ends, the second has the bits in which it differs
# from the first, which are 0 in most notes. The first gain is the distance from a
# prediction.
_NOTE = np.dtype(
    [
        ("onset", "<i4"),
        ("count", "<u4"),
        ("voice", "<u2"),
        ("track", "<i2"),
        ("slot", "<u4"),
        ("phase", "<u4"),
        ("increment", "<u4"),
        ("glide", "<i4"),
        ("fade", "<u4"),
        ("gain", "<u4", 2),
        ("pan", "<f4", 2),
        ("controls", "<u4", (len(CONTROLS), 2)),
    ]
)
_NUMBER_MAX = 2**32 - 1  # of a step in a message
_NO_STEP = (1, 0)  # first and last step of the end of the run


class RecordedNotes:
    """Schedules the scores of a sound as a mixer does, and keeps the events.

    Args:
        sample_rate: Frames a second, in Hz.
        channels: 1, or 2 for left and right.
        tracks: Index of the first track of each run.

    Attributes:
        frames: Frames of the sound so far.
    """

    def __init__(self, sample_rate: int, channels: int, tracks: Sequence[int]) -> None:
        self._sequencer, self._sample_rate = Sequencer(sample_rate, channels), sample_rate
        self._tracks = np.array(tracks)
        self._programs: dict[Program, int] = {}
        self._notes: list[NDArray[np.void]] = []
        self._counts: list[NDArray[np.int64]] = []
        self._begins: list[NDArray[np.int64]] = []  # frames
        self._steps: list[tuple[int, int]] = []  # first and last of each moment
        self.frames = 0

    @property
    def programs(self) -> list[Program]:
        """The programs of the notes, in the order in which a mixer adds them up."""
        return [*self._programs]

    def add(self, rows: Sequence[tuple[Moment, ...]], score: Score) -> None:
        """Adds the next score, and the rows that it sounds; none at the end of the run."""
        starts = np.add.accumulate([self._sequencer.next_start, *score.durations])
        frames = np.rint(starts * self._sample_rate).astype(np.int64)
        events, notes = self._sequencer.schedule(score), score.notes
        kept = np.flatnonzero(events["gain"].any(axis=1))  # the others are silent
        kept = kept[np.argsort(notes["step"][kept], kind="stable")]
        self._notes.append(self._encode(score, events, kept, frames))
        steps = notes["step"][kept]
        self._counts.append(np.bincount(steps, minlength=len(score.durations)))
        self._begins.append(frames[:-1])
        self._steps += map(_bounds, rows) if rows else [_NO_STEP] * len(score.durations)
        self.frames = int(frames[-1])

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Returns the arrays of a recording, by name."""
        notes = np.concatenate(self._notes)
        notes["gain"][:, 0] = encode_levels(
            notes["voice"], notes["increment"], notes["gain"][:, 0]
        )
        firsts, lasts = np.minimum(np.array(self._steps, np.int64), _NUMBER_MAX).T
        return {
            "notes": notes,
            "counts": np.concatenate(self._counts).astype("<u4"),
            "begins": differences(np.concatenate(self._begins)),
            "firsts": differences(firsts),
            "lasts": differences(lasts),
        }

    def _encode(
        self,
        score: Score,
        events: NDArray[np.void],
        kept: NDArray[np.intp],
        begins: NDArray[np.int64],
    ) -> NDArray[np.void]:
        """Returns some of the events of a score, shape (K,)."""
        numbers = self._number_voices(score)
        events, notes = events[kept], score.notes[kept]
        encoded = np.zeros(len(kept), _NOTE)
        for name in ("count", "slot", "phase", "increment", "glide", "fade", "pan"):
            encoded[name] = events[name]
        encoded["onset"] = events["first"] - begins[notes["step"]]
        encoded["voice"] = numbers[notes["voice"]]
        runs = notes["slot"] // SLOTS_PER_RUN
        encoded["track"] = np.where(
            notes["track"] < 0, -1, notes["track"] + self._tracks[runs]
        )
        for name in ("gain", "controls"):
            encoded[name] = np.ascontiguousarray(events[name]).view(np.uint32)
        for program, number in self._programs.items():
            used = [name in program.inputs for name in CONTROLS]
            encoded["controls"][encoded["voice"] == number] *= np.array(used)[:, None]
        for name in ("gain", "controls"):
            encoded[name][..., 1] ^= encoded[name][..., 0]
        return encoded

    def _number_voices(self, score: Score) -> NDArray[np.int_]:
        """Returns the number of each voice's program; a new one gets the next number.

        The samples of a frame are added up in the order of these numbers. A mixer adds in
        the order in which programs have their first notes.
        """
        for index in np.flatnonzero(np.bincount(score.notes["voice"])).tolist():
            self._programs.setdefault(score.voices[index], len(self._programs))
        return np.array([self._programs.get(voice, 0) for voice in score.voices])


def _bounds(row: tuple[Moment, ...]) -> tuple[int, int]:
    """Returns the first and the last step of simultaneous moments."""
    return min(one.first for one in row), max(one.step.number for one in row)
