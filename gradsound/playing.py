"""From a run to the loudspeaker: every step in turn, or as they come.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import queue
import sys
import threading
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gradsound.music.gathering import gather
from gradsound.music.mapping import compose, voices
from gradsound.music.usual import Usual
from gradsound.synth.mixer import Mixer

if TYPE_CHECKING:
    from gradsound.music.preset import Preset
    from gradsound.out.loudspeaker import Loudspeaker
    from gradsound.run import Run, Step
    from gradsound.synth.mixer import Samples

_FASTEST = 1 / 15  # seconds from step to step; faster ones the ear does not follow
_READ_AHEAD = 16  # steps
_READ_BEFORE = 0.03  # seconds; to read steps takes less
_LOOK = 0.1  # seconds between looks at whether to go on, while no device asks
_SWITCH = 0.0005  # seconds; a block must not wait for the thread that reads


class Waiting(Protocol):
    """Steps that were read and not yet played."""

    def put(self, step: Step) -> None:
        """Adds one."""

    def take(self) -> Step | None:
        """The next to play, if there is one."""

    def empty(self) -> bool:
        """Whether there is none."""


class InTurn:
    """Keeps every step; whoever reads them waits."""

    def __init__(self) -> None:
        self._steps: queue.Queue[Step] = queue.Queue(_READ_AHEAD)

    def put(self, step: Step) -> None:
        """As `Waiting.put`."""
        self._steps.put(step)

    def take(self) -> Step | None:
        """As `Waiting.take`."""
        try:
            return self._steps.get_nowait()
        except queue.Empty:
            return None

    def empty(self) -> bool:
        """As `Waiting.empty`."""
        return self._steps.empty()


class Gathered:
    """Keeps one step that has what is remarkable of all that came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._step: Step | None = None

    def put(self, step: Step) -> None:
        """As `Waiting.put`."""
        with self._lock:
            self._step = step if self._step is None else gather(self._step, step)

    def take(self) -> Step | None:
        """As `Waiting.take`."""
        with self._lock:
            step, self._step = self._step, None
        return step

    def empty(self) -> bool:
        """As `Waiting.empty`."""
        return self._step is None


class Playing:
    """Plays a run.

    Args:
        run: What to play; its steps are read in a thread, and may come as they are made.
        preset: How steps sound.
        speaker: What plays.
        sample_rate: Frames a second, in Hz.
        live: Whether a step sounds when it comes, several that come too fast as one, or
            each in its turn.
        volume: Linear gain, 0 to 1.

    Attributes:
        volume: As given; may be changed at any time.
        muted: Whether nothing is to be heard.
        number: That of the step that sounds; -1 before the first.
        ended: Whether to end before the run does.
        failure: What ended the reading, if anything did.
    """

    def __init__(
        self,
        run: Run,
        preset: Preset,
        speaker: Loudspeaker,
        sample_rate: int,
        *,
        live: bool,
        volume: float = 1.0,
    ) -> None:
        self._run, self._preset, self._speaker = run, preset, speaker
        self._mixer, self._live = Mixer(sample_rate, preset.channels), live
        self._usual, self._sample_rate = Usual(), sample_rate
        self._waiting: Waiting = Gathered() if live else InTurn()
        self._block = speaker.frames / sample_rate  # seconds
        self._gain, self._begun = 0.0, -_FASTEST  # at present; seconds
        self.volume, self.muted, self.number = volume, False, -1
        self.ended = False
        self.failure: Exception | None = None

    @property
    def spare(self) -> float:
        """Seconds until the next step is wanted, at least."""
        return max(0.0, self._mixer.left / self._sample_rate - _READ_BEFORE)

    def play(self, most: float = np.inf) -> None:
        """Plays until the run is over and everything was heard.

        Args:
            most: Seconds that may pass between these two.
        """
        switch = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH)
        reader = threading.Thread(target=self._read, daemon=True)
        reader.start()
        compiler = self._mixer.warm(voices(self._preset))
        left = most
        try:
            while left > 0 and (reader.is_alive() or not self._over()) and not self.ended:
                if self._speaker.wants(_LOOK):
                    self._speaker.play(self._next())
                    passed = self._block
                else:
                    passed = _LOOK
                left -= 0.0 if reader.is_alive() else passed
        finally:
            self.muted = True
            if self._speaker.wants(_LOOK):
                self._speaker.play(self._next())  # ends without a click
            self._speaker.close()
            compiler.join()
            sys.setswitchinterval(switch)

    def _read(self) -> None:
        try:
            for step in self._run.steps:
                self._waiting.put(step)
        except (OSError, ValueError) as error:
            self.failure = error

    def _over(self) -> bool:
        return self._waiting.empty() and not self._mixer.left

    def _begin_next(self) -> None:
        """Begins the next step, if there is one and its time has come."""
        early = self._live and self._mixer.now - self._begun < _FASTEST
        if self._mixer.left >= self._speaker.frames or early:
            return
        step = self._waiting.take()
        if step is not None:
            self._begun, self.number = self._mixer.now, step.number
            self._mixer.add(compose([step], self._preset, self._usual))

    def _next(self) -> Samples:
        """The next block, shape (N, C)."""
        self._begin_next()
        block = self._mixer.read(self._speaker.frames)
        before, self._gain = self._gain, 0.0 if self.muted else self.volume
        if self._gain != before:
            ramp = np.linspace(before, self._gain, len(block) + 1, dtype=np.float32)[1:]
            return block * ramp[:, None]
        return block if self._gain == 1.0 else block * np.float32(self._gain)
