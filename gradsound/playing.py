"""From a run to the loudspeaker: every step in turn, or as they come.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gradsound.music.alarms import Watch
from gradsound.music.composing import Composer
from gradsound.music.moments import Moment, gathered
from gradsound.synth.mixer import Mixer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradsound.music.captions import Caption
    from gradsound.music.preset import Preset
    from gradsound.out.loudspeaker import Loudspeaker
    from gradsound.run import Run
    from gradsound.synth.mixer import Samples

_FASTEST = 1 / 15  # seconds from step to step; faster ones the ear does not follow
_READ_AHEAD = 16  # steps
_READ_BEFORE = 0.03  # seconds; to read steps takes less
_PATIENCE = 3.0  # seconds that steps wait for a device
_LOOK = 0.1  # seconds between looks at whether to go on, while no device asks
_SWITCH = 0.0005  # seconds; a block must not wait for the thread that reads


class Waiting(Protocol):
    """Moments that were read and not yet played."""

    def put(self, moment: Moment) -> None:
        """Adds one."""

    def take(self) -> Moment | None:
        """The next to play, if there is one."""

    def empty(self) -> bool:
        """Whether there is none."""


class InTurn:
    """Keeps every moment; whoever reads them waits."""

    def __init__(self) -> None:
        self._moments: queue.Queue[Moment] = queue.Queue(_READ_AHEAD)

    def put(self, moment: Moment) -> None:
        """As `Waiting.put`."""
        self._moments.put(moment)

    def take(self) -> Moment | None:
        """As `Waiting.take`."""
        try:
            return self._moments.get_nowait()
        except queue.Empty:
            return None

    def empty(self) -> bool:
        """As `Waiting.empty`."""
        return self._moments.empty()


class Gathered:
    """Keeps one moment that has what is remarkable of all that came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moment: Moment | None = None

    def put(self, moment: Moment) -> None:
        """As `Waiting.put`."""
        with self._lock:
            kept = self._moment
            self._moment = moment if kept is None else gathered(kept, moment)

    def take(self) -> Moment | None:
        """As `Waiting.take`."""
        with self._lock:
            moment, self._moment = self._moment, None
        return moment

    def empty(self) -> bool:
        """As `Waiting.empty`."""
        return self._moment is None


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
        told: Called with each caption as its time comes.

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
        told: Callable[[Caption], object] = lambda _: None,
    ) -> None:
        self._run, self._speaker, self._told = run, speaker, told
        self._mixer, self._live = Mixer(sample_rate, preset.channels), live
        self._composer = Composer(run.header.layers, preset)
        self._watch = Watch(run.header.layers, preset.thresholds)
        self._sample_rate = sample_rate
        self._waiting: Waiting = Gathered() if live else InTurn()
        self._block = speaker.frames / sample_rate  # seconds
        self._gain, self._begun = 0.0, -_FASTEST  # at present; seconds
        self._came, self._finished = np.inf, False  # the last step, on the clock
        self._deaf = 0.0  # seconds without a device
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
        compiler = self._mixer.warm(dict.fromkeys(self._composer.voices))
        left = most
        try:
            while left > 0 and not self.ended:
                over = not reader.is_alive()
                if over and self._waiting.empty() and self.number >= 0:
                    self._finish()
                if over and self._over():
                    break
                if self._speaker.wants(_LOOK):
                    self._speaker.play(self._next())
                    passed = self._block
                else:
                    self._go_on_unheard()
                    passed = _LOOK
                self._tell()
                left -= passed if over else 0.0
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
                self._came = time.monotonic()
                (alarms,) = self._watch.look([step])
                self._waiting.put(Moment(step.number, step, alarms))
        except (OSError, ValueError) as error:
            self.failure = error

    def _over(self) -> bool:
        return self._waiting.empty() and not self._mixer.left

    def _finish(self) -> None:
        """Announces the end, once."""
        if not self._finished and self._mixer.left < self._speaker.frames:
            self._finished = True
            self._mixer.add(self._composer.finish([self._watch.end()], self._mixer.end))

    def _begin_next(self) -> None:
        """Begins the next step, if there is one and its time has come."""
        if self._mixer.left >= self._speaker.frames or self._finished:
            return
        early = self._live and self._mixer.now - self._begun < _FASTEST
        moment = None if early else self._waiting.take()
        if moment is not None:
            self._begun, self.number = self._mixer.now, moment.step.number
            self._compose(moment, self._mixer.end)
        elif self._live and self.number >= 0:
            alarm = self._watch.waited(time.monotonic() - self._came)
            if alarm is not None:
                self._mixer.add(self._composer.announce([alarm], self._mixer.end))
            if self._composer.drones:
                silent = self._watch.stalled
                self._mixer.add(self._composer.hold(self._block, silent=silent))

    def _compose(self, moment: Moment, begin: float) -> None:
        durations = self._composer.layout.duration * self._composer.longer([moment])
        begins = np.array([begin])
        self._mixer.add(self._composer.compose([moment], begins, durations))

    def _go_on_unheard(self) -> None:
        """Where there is no device for long, what comes live is told at least."""
        self._deaf = self._deaf + _LOOK if self._speaker.name is None else 0.0
        if self._live and self._deaf > _PATIENCE:
            self._begin_next()
            self._mixer.read(round(_LOOK * self._sample_rate))

    def _tell(self) -> None:
        captions = self._composer.captions
        while captions and captions[0].time <= self._mixer.now:
            self._told(captions.pop(0))

    def _next(self) -> Samples:
        """The next block, shape (N, C)."""
        self._begin_next()
        block = self._mixer.read(self._speaker.frames)
        before, self._gain = self._gain, 0.0 if self.muted else self.volume
        if self._gain != before:
            ramp = np.linspace(before, self._gain, len(block) + 1, dtype=np.float32)[1:]
            return block * ramp[:, None]
        return block if self._gain == 1.0 else block * np.float32(self._gain)
