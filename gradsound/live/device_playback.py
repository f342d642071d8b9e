"""From a run to the loudspeaker, block by block, as the device asks for them.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from gradsound.live.conductor import Conductor
from gradsound.synth.mixer import Mixer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradsound.music.captions import Caption
    from gradsound.music.presets import Preset
    from gradsound.output.sound_device import SoundDevice
    from gradsound.runs.model import Run
    from gradsound.synth.mixer import Samples

_READ_BEFORE = 0.03  # seconds; to read steps takes less
_PATIENCE = 3.0  # seconds that steps wait for a device
_POLL_SECONDS = 0.1  # seconds between looks at whether to go on, while no device asks
_SWITCH = 0.0005  # seconds; a block must not wait for the thread that reads
_AT_ONCE = 8  # blocks; made together they take little longer than one


class DevicePlayback:
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
        begin: As for `Conductor`.

    Attributes:
        volume: As given; may be changed at any time.
        muted: Whether nothing is to be heard.
        ended: Whether to end before the run does.
        conductor: What says what comes next.
    """

    def __init__(
        self,
        run: Run,
        preset: Preset,
        speaker: SoundDevice,
        sample_rate: int,
        *,
        live: bool,
        volume: float = 1.0,
        told: Callable[[Caption], object] = lambda _: None,
        begin: float = 0,
    ) -> None:
        self._speaker, self._live, self._told = speaker, live, told
        self._sample_rate = sample_rate
        self._mixer = Mixer(sample_rate, preset.channels)
        self._block = speaker.frames / sample_rate  # seconds
        self.conductor = Conductor(run, preset, live=live, hold=self._block, begin=begin)
        self._made = np.zeros((0, preset.channels), np.float32)  # blocks to be played
        self._at_once = 1  # block; until voices are compiled, more would be late
        self._gain = 0.0  # at present
        self._deaf = 0.0  # seconds without a device
        self.volume, self.muted = volume, False
        self.ended = False

    @property
    def number(self) -> int:
        """That of the step that sounds; -1 before the first."""
        return self.conductor.number

    @property
    def failure(self) -> Exception | None:
        """What ended the reading, if anything did."""
        return self.conductor.failure

    @property
    def spare(self) -> float:
        """Seconds until the next step is wanted, at least."""
        return max(0.0, self._left / self._sample_rate - _READ_BEFORE)

    @property
    def _left(self) -> int:
        """Frames of what was added that are still to be played."""
        return len(self._made) + self._mixer.left

    def play(self, most: float = np.inf) -> None:
        """Plays until the run is over and everything was heard.

        Args:
            most: Seconds that may pass between these two.
        """
        switch = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH)
        self.conductor.begin()
        compiler = self._mixer.warm(dict.fromkeys(self.conductor.composer.voices))
        left = most
        try:
            while left > 0 and not self.ended:
                read = self.conductor.read
                if self.conductor.done and not self._left:
                    break
                if self._speaker.wants(_POLL_SECONDS):
                    self._speaker.play(self._next(0.0 if self.muted else self.volume))
                    passed = self._block
                    if compiler.ident is None:  # it would make the first sound later
                        compiler.start()
                    elif not compiler.is_alive():
                        self._at_once = _AT_ONCE
                else:
                    self._go_on_unheard()
                    passed = _POLL_SECONDS
                self._tell()
                left -= passed if read else 0.0
        finally:
            if self._speaker.wants(_POLL_SECONDS):
                self._speaker.play(self._next(0.0))  # ends without a click
            self._speaker.close()
            if compiler.ident is not None:
                compiler.join()
            sys.setswitchinterval(switch)

    def _go_on_unheard(self) -> None:
        """Where there is no device for long, what comes live is told at least."""
        self._deaf = self._deaf + _POLL_SECONDS if self._speaker.name is None else 0.0
        if self._live and self._deaf > _PATIENCE:
            for _ in range(round(_POLL_SECONDS / self._block)):
                self._next_block()

    def _tell(self) -> None:
        captions = self.conductor.composer.captions
        now = self._mixer.placer.now - len(self._made) / self._sample_rate
        while captions and captions[0].time <= now:
            self._told(captions.pop(0))

    def _next(self, gain: float) -> Samples:
        """The next block, shape (N, C), which ends at that gain."""
        block = self._next_block()
        before, self._gain = self._gain, gain
        if self._gain != before:
            ramp = np.linspace(before, self._gain, len(block) + 1, dtype=np.float32)[1:]
            return block * ramp[:, None]
        return block if self._gain == 1.0 else block * np.float32(self._gain)

    def _next_block(self) -> Samples:
        """The next block as it was composed, shape (N, C)."""
        frames = self._speaker.frames
        if not len(self._made):
            if self._mixer.left < frames:  # what was added is nearly over
                for passage in self.conductor.next(self._mixer.placer):
                    self._mixer.add(passage.score)
            # Nothing is added before these are over: no step is heard later for it.
            blocks = min(max(1, self._mixer.left // frames), self._at_once)
            self._made = self._mixer.read(blocks * frames)
        block, self._made = self._made[:frames], self._made[frames:]
        return block
