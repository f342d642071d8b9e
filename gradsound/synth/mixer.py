"""Scores played block by block: each note is rendered as it begins.

Shapes: N frames, C channels.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from gradsound.synth.render import CHANNELS, frame, placed, tones

if TYPE_CHECKING:
    from gradsound.score import Note, Score
    from gradsound.synth.render import Samples


class Mixer:
    """Plays scores one after the other, and silence between them if they come late.

    Scores that are added in time give the samples that `gradsound.synth.render.render`
    gives for them, whatever the size of the blocks.

    Args:
        sample_rate: Frames a second, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._frame = 0  # how many have been read
        self._end = 0.0  # seconds; of the last score
        self._waiting: deque[tuple[int, int, Note]] = deque()  # by first frame
        self._begun = np.zeros((0, CHANNELS), np.float32)  # what is left of begun notes

    @property
    def now(self) -> float:
        """Seconds that have been read."""
        return self._frame / self._sample_rate

    @property
    def ahead(self) -> float:
        """Seconds until everything that was added has been read."""
        return max(0, self._end_frame - self._frame) / self._sample_rate

    @property
    def _end_frame(self) -> int:
        return frame(self._end, self._sample_rate)

    def add(self, score: Score) -> None:
        """Plays a score, after those before it or, if they are over, at once."""
        start = self._end if self._end_frame >= self._frame else self.now
        self._waiting += sorted(
            placed(score, start, self._sample_rate), key=lambda entry: entry[0]
        )
        self._end = start + score.duration

    def read(self, frames: int) -> Samples:
        """Returns the next samples, shape (N = frames, C)."""
        while self._waiting and self._waiting[0][0] < self._frame + frames:
            first, length, note = self._waiting.popleft()
            tone = tones(note.voice, note.fade, [note], length, self._sample_rate)[0]
            first -= self._frame
            if len(self._begun) < first + length:
                longer = first + length - len(self._begun)
                self._begun = np.pad(self._begun, ((0, longer), (0, 0)))
            self._begun[first : first + length, 0] += tone
        self._frame += frames
        if not len(self._begun):
            return np.zeros((frames, CHANNELS), np.float32)
        block, self._begun = self._begun[:frames], self._begun[frames:]
        if len(block) < frames:
            block = np.pad(block, ((0, frames - len(block)), (0, 0)))
        return block
