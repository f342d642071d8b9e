"""From scores to samples: kernels render the events of notes, block by block.

Shapes: N frames, C channels, K events.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradsound.synth.events import EVENT
from gradsound.synth.kernels import numpy_kernel
from gradsound.synth.kernels.select import kernel
from gradsound.synth.limiter import limited
from gradsound.synth.sequencer import Sequencer
from gradsound.synth.voices.program import ROOM

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gradsound.synth.events import Kernel
    from gradsound.synth.score import Score
    from gradsound.synth.voices.program import Program

Samples: TypeAlias = NDArray[np.float32]  # (N, C), within -1..1, never 1-D

SAMPLE_RATE = 44_100  # Hz, unless another is asked for
SAMPLE_RATES = (16_000, 192_000)  # Hz; below, the highest notes would not fit


class Mixer:
    """Plays scores one after the other, and silence between them if they come late.

    The samples are the same whatever the blocks that they are read in, and whether scores
    are added one by one or together, as long as each comes in time.

    Args:
        sample_rate: Frames a second, in Hz.
        channels: 1, or 2 for left and right.

    Attributes:
        placer: What says when scores begin; its frame is the next to be read.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self.placer = Sequencer(sample_rate, channels)
        self._sample_rate, self._channels = sample_rate, channels
        self._voices: dict[Program, _Voice] = {}

    @property
    def left(self) -> int:
        """Frames until everything that was added has been read."""
        return self.placer.left

    def warm(self, programs: Iterable[Program]) -> threading.Thread:
        """Has numpy render voices until they are compiled, by a thread yet to be started.

        So nothing waits for that; and nobody hears when it is done, as the samples are the
        same.
        """
        for program in programs:
            voice = self._voices[program] = _Voice(program, self._channels)
            voice.render = numpy_kernel.kernel(program, self._channels)
        return threading.Thread(target=self._compile)

    def _compile(self) -> None:
        for program, voice in [*self._voices.items()]:
            voice.render = kernel(program, self._channels)

    def add(self, score: Score) -> None:
        """Plays a score, after those before it or, if they are over, at once."""
        events = self.placer.place(score)
        which = score.notes["voice"]
        # Lines often share a program: its events are put in order once, not for each.
        numbers: dict[Program, list[int]] = {}
        for number in np.unique(which).tolist():
            numbers.setdefault(score.voices[number], []).append(number)
        for program, alike in numbers.items():
            if program not in self._voices:
                self._voices[program] = _Voice(program, self._channels)
            self._voices[program].add(events[np.isin(which, alike)])

    def read(self, frames: int) -> Samples:
        """Returns the next samples, shape (N = frames, C)."""
        block = np.zeros((self._channels, frames + ROOM), np.float32)
        for voice in self._voices.values():
            voice.play(block, self.placer.frame, 1 / self._sample_rate)
        self.placer.frame += frames
        return np.ascontiguousarray(limited(block[:, :frames]).T)


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
        # Most voices have nothing to play in most blocks: that must cost nothing.
        begun = self._coming["first"].searchsorted(end) if len(self._coming) else 0
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


def render(score: Score, sample_rate: int, channels: int = 1) -> Samples:
    """The samples of a score by itself, shape (N, C)."""
    mixer = Mixer(sample_rate, channels)
    mixer.add(score)
    return mixer.read(mixer.left)
