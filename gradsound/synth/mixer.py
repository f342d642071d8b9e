"""From scores to samples: notes become events, and kernels render them block by block.

Shapes: N frames, C channels, K notes.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradsound.synth import reference
from gradsound.synth.events import EVENT, TURN, kernel
from gradsound.synth.program import ROOM
from gradsound.synth.score import PART

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gradsound.synth.events import Kernel
    from gradsound.synth.program import Program
    from gradsound.synth.score import Score

Samples: TypeAlias = NDArray[np.float32]  # (N, C), within -1..1, never 1-D

LIMIT = 0.45  # of the sample rate: no pitch is above
_KNEE = 0.8  # linear; what is below leaves the limiter as it is
# Of a turn: start phases are as far from each other as can be, however many there are, so
# that many notes at once do not add up to one peak.
_GOLDEN = 0x9E3779B9


class Mixer:
    """Plays scores one after the other, and silence between them if they come late.

    The samples are the same whatever the blocks that they are read in, and whether scores
    are added one by one or together, as long as each comes in time.

    Args:
        sample_rate: Frames a second, in Hz.
        channels: 1, or 2 for left and right.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._sample_rate, self._channels = sample_rate, channels
        self._frame = 0  # how many have been read
        self._end = 0.0  # seconds; of the last score
        self._phases = np.zeros(0, np.uint32)  # by slot, where one that continues begins
        self._voices: dict[Program, _Voice] = {}

    @property
    def now(self) -> float:
        """Seconds that have been read."""
        return self._frame / self._sample_rate

    @property
    def left(self) -> int:
        """Frames until everything that was added has been read."""
        return max(0, round(self._end * self._sample_rate) - self._frame)

    @property
    def end(self) -> float:
        """Seconds at which a score that is added now begins."""
        late = round(self._end * self._sample_rate) < self._frame
        return self.now if late else self._end

    def warm(self, programs: Iterable[Program]) -> threading.Thread:
        """Has numpy render voices until they are compiled, by the thread that it returns.

        So nothing waits for that; and nobody hears when it is done, as the samples are the
        same.
        """
        for program in programs:
            voice = self._voices[program] = _Voice(program, self._channels)
            voice.render = reference.kernel(program, self._channels)
        thread = threading.Thread(target=self._compile)
        thread.start()
        return thread

    def _compile(self) -> None:
        for program, voice in [*self._voices.items()]:
            voice.render = kernel(program, self._channels)

    def add(self, score: Score) -> None:
        """Plays a score, after those before it or, if they are over, at once."""
        # One after the other, as if the steps were added one by one, so that they are
        # rounded to the same frames.
        starts = np.add.accumulate([self.end, *score.durations])
        self._end = float(starts[-1])
        events = self._placed(score, starts)
        for number in np.unique(score.notes["voice"]):
            program = score.voices[number]
            if program not in self._voices:
                self._voices[program] = _Voice(program, self._channels)
            self._voices[program].add(events[score.notes["voice"] == number])

    def read(self, frames: int) -> Samples:
        """Returns the next samples, shape (N = frames, C)."""
        block = np.zeros((self._channels, frames + ROOM), np.float32)
        for voice in self._voices.values():
            voice.play(block, self._frame, 1 / self._sample_rate)
        self._frame += frames
        return np.ascontiguousarray(limited(block[:, :frames]).T)

    def _placed(self, score: Score, starts: NDArray[np.float64]) -> NDArray[np.void]:
        """The events of a score whose steps begin at ``starts`` seconds, shape (K,)."""
        notes, rate = score.notes, self._sample_rate
        begin = starts[notes["step"]] + notes["onset"]
        first = np.rint(begin * rate).astype(np.int64)
        last = np.rint((begin + notes["duration"]) * rate).astype(np.int64)
        count = np.maximum(last - first, 1)
        steps = np.minimum(notes["hertz"] / rate, LIMIT) * TURN  # (K, 2)
        events = np.zeros(len(notes), EVENT)
        events["first"], events["count"] = first, count
        events["slot"] = notes["slot"] % PART
        events["step"] = steps[:, 0]
        events["glide"] = np.floor((steps[:, 1] - steps[:, 0]) / (2 * count))
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
        gone = count * (events["step"] + glide * (count - np.uint32(1)))
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


class _Voice:
    """The events of one voice, and what renders them.

    Attributes:
        render: Its kernel; None until it is needed.
    """

    def __init__(self, program: Program, channels: int) -> None:
        self._program, self._channels = program, channels
        self.render: Kernel | None = None
        self._coming = self._sounding = np.zeros(0, EVENT)  # each by first frame

    def add(self, events: NDArray[np.void]) -> None:
        """Adds events whose time is to come, in any order."""
        new = np.concatenate([self._coming, events])
        # Those that begin together are added up in one order, whenever they came.
        self._coming = new[np.lexsort((new["slot"], new["first"]))]

    def play(self, block: NDArray[np.float32], start: int, period: float) -> None:
        """Adds what sounds from a frame on to a block, shape (C, N + ROOM)."""
        end = start + block.shape[1] - ROOM
        begun = np.searchsorted(self._coming["first"], end)
        if begun:
            self._sounding = np.concatenate([self._sounding, self._coming[:begun]])
            self._coming = self._coming[begun:]
        if not len(self._sounding):
            return
        if self.render is None:
            self.render = kernel(self._program, self._channels)
        self.render(block, start, period, self._sounding)
        goes_on = self._sounding["first"] + self._sounding["count"] > end
        if not goes_on.all():
            self._sounding = self._sounding[goes_on]


def limited(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples of any shape, bent to within -1..1 where they are beyond the knee.

    What is not a number, as a user's voice may make, is silence.
    """
    if samples.size and max(samples.max(), -samples.min()) <= _KNEE:
        return samples
    size = np.abs(np.nan_to_num(samples, posinf=1e30, neginf=-1e30))
    over = (size - np.float32(_KNEE)) / np.float32(1 - _KNEE)
    bent = np.float32(_KNEE) + np.float32(1 - _KNEE) * (over / (1 + over))
    return np.copysign(np.where(size > _KNEE, bent, size), samples).astype(np.float32)


def render(score: Score, sample_rate: int, channels: int = 1) -> Samples:
    """The samples of a score by itself, shape (N, C)."""
    mixer = Mixer(sample_rate, channels)
    mixer.add(score)
    return mixer.read(mixer.left)
