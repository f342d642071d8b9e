"""The mixer: synthesizes scores to audio samples, block by block.

Shapes: N frames, C channels, K events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradsound.synth.events import EVENT
from gradsound.synth.kernels import numpy_kernel
from gradsound.synth.kernels.select import select_kernel
from gradsound.synth.limiter import limit
from gradsound.synth.sequencer import Sequencer
from gradsound.synth.voices.program import PADDING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gradsound.synth.events import Kernel, KernelMaker
    from gradsound.synth.score import Score
    from gradsound.synth.voices.program import Program

Samples: TypeAlias = NDArray[np.float32]  # (N, C), within -1..1, never 1-D


class Mixer:
    """Plays scores one after another, with silence before a score that comes late.

    The samples depend neither on the size of the blocks nor on how many scores are added
    at a time, as long as each score is added before the last one ends.

    Args:
        sample_rate: Frames a second, in Hz.
        channels: 1, or 2 for left and right.
        kernel: Makes the kernel of a program; the fastest one by default.

    Attributes:
        sequencer: The sequencer of the scores; `read` advances its frame.
    """

    def __init__(
        self, sample_rate: int, channels: int, *, kernel: KernelMaker = select_kernel
    ) -> None:
        self.sequencer = Sequencer(sample_rate, channels)
        self._sample_rate, self._channels, self._kernel = sample_rate, channels, kernel
        self._queues: dict[Program, EventQueue] = {}

    @property
    def frames_left(self) -> int:
        """Frames until the end of the last score."""
        return self.sequencer.frames_left

    def render_by_numpy(self, programs: Iterable[Program]) -> None:
        """Lets numpy render programs until `compile`, with the same samples.

        So the first sound does not wait for the compiler.
        """
        for program in programs:
            self._queue(program).kernel = numpy_kernel.make_kernel(program, self._channels)

    def compile(self) -> None:
        """Compiles the programs of `render_by_numpy`; for a thread."""
        for program, queue in [*self._queues.items()]:
            queue.kernel = self._kernel(program, self._channels)

    def add(self, score: Score) -> None:
        """Appends a score; it begins at the next frame if all scores before it are over."""
        events = self.sequencer.schedule(score)
        voices = score.notes["voice"]
        # Tracks often share a program: this sorts its events once, not once a track.
        indices: dict[Program, list[int]] = {}
        # Not numpy's unique(): its first call imports a module, for longer than a block.
        for index in np.flatnonzero(np.bincount(voices)).tolist():
            indices.setdefault(score.voices[index], []).append(index)
        for program, alike in indices.items():
            own = events[np.isin(voices, alike)] if len(indices) > 1 else events
            self._queue(program).add(own)

    def _queue(self, program: Program) -> EventQueue:
        if program not in self._queues:
            self._queues[program] = EventQueue(program, self._channels, self._kernel)
        return self._queues[program]

    def read(self, frames: int) -> Samples:
        """Returns the next samples, shape (N = frames, C), each channel in one piece."""
        block = np.zeros((self._channels, frames + PADDING), np.float32)
        for queue in self._queues.values():
            queue.render(block, self.sequencer.frame, 1 / self._sample_rate)
        self.sequencer.frame += frames
        return limit(block[:, :frames]).T


class EventQueue:
    """The future and the present events of one program, with its kernel.

    Args:
        program: The program of the events' voice.
        channels: 1 or 2.
        make_kernel: Makes the kernel at the first event, unless `kernel` is set by then.

    Attributes:
        kernel: The program's kernel; None before the first event.
    """

    def __init__(
        self, program: Program, channels: int, make_kernel: KernelMaker = select_kernel
    ) -> None:
        self._program, self._channels = program, channels
        self._make_kernel = make_kernel
        self.kernel: Kernel | None = None
        self._future = self._present = np.zeros(0, EVENT)  # each sorted by first frame

    def add(self, events: NDArray[np.void]) -> None:
        """Adds future events, in any order."""
        # Without a given type, numpy compares the types of all fields, in Python.
        future = np.concatenate([self._future, events], dtype=EVENT)
        # Sums of floats depend on their order: events of one frame are summed by slot,
        # whichever was added first.
        self._future = future[np.lexsort((future["slot"], future["first"]))]

    def render(self, block: NDArray[np.float32], start: int, period: float) -> None:
        """Adds the samples from frame ``start`` on to a block, shape (C, N + PADDING).

        Args:
            block: The block.
            start: Frame number of the block's first frame.
            period: Seconds a frame.
        """
        end = start + block.shape[1] - PADDING
        # Most voices are silent in most blocks: that must cost next to nothing.
        begun = self._future["first"].searchsorted(end) if len(self._future) else 0
        if begun:
            both = [self._present, self._future[:begun]]
            self._present = np.concatenate(both, dtype=EVENT)
            self._future = self._future[begun:]
        if not len(self._present):
            return
        if self.kernel is None:
            self.kernel = self._make_kernel(self._program, self._channels)
        self.kernel(block, start, period, self._present)
        unfinished = self._present["first"] + self._present["count"] > end
        if not unfinished.all():
            self._present = self._present[unfinished]


def render(score: Score, sample_rate: int, channels: int = 1) -> Samples:
    """Returns the samples of a whole score, shape (N, C)."""
    mixer = Mixer(sample_rate, channels)
    mixer.add(score)
    return mixer.read(mixer.frames_left)
