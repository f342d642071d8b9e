"""The sequencer: converts the notes of consecutive scores to frame-exact events.

Shapes: K notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.synth.events import EVENT, TURN
from gradsound.synth.panning import pan_gains
from gradsound.synth.sample_rate import MAX_PITCH
from gradsound.synth.score import SLOTS_PER_RUN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.synth.score import Score

# 2**-32 turns, the golden ratio. Start phases of slots that far apart are spread evenly
# for any number of slots, so many notes at once do not add up to one peak.
_GOLDEN = 0x9E3779B9


class Sequencer:
    """Schedules scores one after another; a late score begins at the next frame.

    Args:
        sample_rate: Frames a second, in Hz.
        channels: 1, or 2 for left and right.

    Attributes:
        frame: Number of the next frame to play; the player advances it.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._sample_rate, self._channels = sample_rate, channels
        self.frame = 0
        self._end = 0.0  # seconds; of the last score
        self._phases = np.zeros(0, np.uint32)  # by slot: start of its next continuing note

    @property
    def time(self) -> float:
        """Time of the next frame, in seconds."""
        return self.frame / self._sample_rate

    @property
    def frames_left(self) -> int:
        """Frames until the end of the last score; 0 if that is past."""
        return max(0, round(self._end * self._sample_rate) - self.frame)

    @property
    def next_start(self) -> float:
        """Time at which the next score begins, in seconds."""
        late = round(self._end * self._sample_rate) < self.frame
        return self.time if late else self._end

    def schedule(self, score: Score) -> NDArray[np.void]:
        """Returns the events of a score, shape (K,), of `EVENT`, in the order of its notes.

        The score begins at `next_start`.
        """
        # Added up step by step, as if each step were a score: another order of additions
        # rounds to other frames.
        starts = np.add.accumulate([self.next_start, *score.durations])
        self._end = float(starts[-1])
        notes, rate = score.notes, self._sample_rate
        begin = starts[notes["step"]] + notes["onset"]
        first = np.rint(begin * rate).astype(np.int64)
        last = np.rint((begin + notes["duration"]) * rate).astype(np.int64)
        count = np.maximum(last - first, 1)
        increments = np.minimum(notes["hertz"] / rate, MAX_PITCH) * TURN  # (K, 2)
        events = np.zeros(len(notes), EVENT)
        events["first"], events["count"] = first, count
        events["slot"] = notes["slot"] % SLOTS_PER_RUN
        events["increment"] = increments[:, 0]
        events["glide"] = np.floor((increments[:, 1] - increments[:, 0]) / (2 * count))
        events["fade"] = np.rint(notes["fade"] * rate)
        events["gain"] = notes["level"]
        events["pan"] = pan_gains(notes["pan"], self._channels)
        events["controls"] = notes["controls"]
        events["phase"] = events["slot"] * np.uint32(_GOLDEN)
        continues = notes["continues"]
        if continues.any():
            slots = notes["slot"][continues]
            events["phase"][continues] = self._continued(events[continues], slots)
        return events

    def _continued(
        self, events: NDArray[np.void], slots: NDArray[np.uint32]
    ) -> NDArray[np.uint32]:
        """Returns the start phases of events that continue their slots, shape (K,)."""
        known, needed = len(self._phases), int(slots.max(initial=0)) + 1
        if needed > known:
            new = np.arange(known, needed, dtype=np.uint32)
            new = new % SLOTS_PER_RUN * np.uint32(_GOLDEN)
            self._phases = np.concatenate([self._phases, new])
        count = events["count"].astype(np.uint32)
        glide = events["glide"].view(np.uint32)
        advance = count * (events["increment"] + glide * (count - np.uint32(1)))
        order = np.argsort(slots, kind="stable")
        sums = np.cumsum(advance[order], dtype=np.uint32)
        before = sums - advance[order]  # of all slots before, and of this one's notes
        firsts = np.flatnonzero(np.diff(slots[order], prepend=-1))
        sizes = np.diff(firsts, append=len(slots))
        phases = np.empty_like(advance)
        phases[order] = (
            self._phases[slots[order]] + before - np.repeat(before[firsts], sizes)
        )
        np.add.at(self._phases, slots, advance)
        return np.asarray(phases)
