"""From scores to events: the frames, phases and gains of notes that follow each other.

Shapes: K notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.synth.events import EVENT, TURN
from gradsound.synth.score import PART

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.synth.score import Score

LIMIT = 0.45  # of the sample rate: no pitch is above
# Of a turn: start phases are as far from each other as can be, however many there are, so
# that many notes at once do not add up to one peak.
_GOLDEN = 0x9E3779B9


class Sequencer:
    """Gives scores their place, one after the other, or at once where they come late.

    Args:
        sample_rate: Frames a second, in Hz.
        channels: 1, or 2 for left and right.

    Attributes:
        frame: The next to be heard; whoever plays moves it on.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._sample_rate, self._channels = sample_rate, channels
        self.frame = 0
        self._end = 0.0  # seconds; of the last score
        self._phases = np.zeros(0, np.uint32)  # by slot, where one that continues begins

    @property
    def now(self) -> float:
        """Seconds at which the next frame is heard."""
        return self.frame / self._sample_rate

    @property
    def left(self) -> int:
        """Frames until everything that was placed is over."""
        return max(0, round(self._end * self._sample_rate) - self.frame)

    @property
    def end(self) -> float:
        """Seconds at which a score that is placed now begins."""
        late = round(self._end * self._sample_rate) < self.frame
        return self.now if late else self._end

    def place(self, score: Score) -> NDArray[np.void]:
        """The events of a score, shape (K,), of `EVENT`, in the order of its notes."""
        # One after the other, as if the steps were added one by one, so that they are
        # rounded to the same frames.
        starts = np.add.accumulate([self.end, *score.durations])
        self._end = float(starts[-1])
        notes, rate = score.notes, self._sample_rate
        begin = starts[notes["step"]] + notes["onset"]
        first = np.rint(begin * rate).astype(np.int64)
        last = np.rint((begin + notes["duration"]) * rate).astype(np.int64)
        count = np.maximum(last - first, 1)
        increments = np.minimum(notes["hertz"] / rate, LIMIT) * TURN  # (K, 2)
        events = np.zeros(len(notes), EVENT)
        events["first"], events["count"] = first, count
        events["slot"] = notes["slot"] % PART
        events["increment"] = increments[:, 0]
        events["glide"] = np.floor((increments[:, 1] - increments[:, 0]) / (2 * count))
        events["fade"] = np.rint(notes["fade"] * rate)
        events["gain"] = notes["level"]
        angle = (notes["pan"] + 1) * (np.pi / 4)
        if self._channels == 1:
            events["pan"] = 1.0
        else:  # constant power, the middle as loud as one channel would be
            events["pan"] = np.stack([np.cos(angle), np.sin(angle)], axis=1)
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
        """The phase that each event begins at, after those before in its slot, (K,)."""
        known, wanted = len(self._phases), int(slots.max(initial=0)) + 1
        if wanted > known:
            new = np.arange(known, wanted, dtype=np.uint32) % PART * np.uint32(_GOLDEN)
            self._phases = np.concatenate([self._phases, new])
        count = events["count"].astype(np.uint32)
        glide = events["glide"].view(np.uint32)
        gone = count * (events["increment"] + glide * (count - np.uint32(1)))
        order = np.argsort(slots, kind="stable")
        sums = np.cumsum(gone[order], dtype=np.uint32)
        before = sums - gone[order]
        firsts = np.flatnonzero(np.diff(slots[order], prepend=-1))
        sizes = np.diff(firsts, append=len(slots))
        begun = np.empty_like(gone)
        begun[order] = (
            self._phases[slots[order]] + before - np.repeat(before[firsts], sizes)
        )
        np.add.at(self._phases, slots, gone)
        return np.asarray(begun)
