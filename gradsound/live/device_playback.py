"""Playback of a run on the sound device, block by block.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from gradsound.live.conductor import Conductor
from gradsound.music.equal_loudness import measure_loudness
from gradsound.synth.mixer import Mixer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradsound.music.captions import Caption
    from gradsound.music.presets import Preset
    from gradsound.output.sound_device_process import SoundDevice
    from gradsound.runs.model import Run
    from gradsound.synth.mixer import Samples

_READ_AHEAD_SECONDS = 0.03  # before a step is needed; reading it takes less
_AHEAD_SECONDS = 0.1  # of sound that the device gets at once; a change of volume is so late
_DEVICE_WAIT_SECONDS = 3.0  # that live steps wait for a device
_POLL_SECONDS = 0.1  # between polls of the end condition while no device asks
_SWITCH_SECONDS = 0.0005  # interpreter lock; a block must not wait for the reader thread


class DevicePlayback:
    """Plays a run on a sound device.

    Args:
        run: The run to play. A thread iterates its steps once; they may still grow.
        preset: How steps sound.
        device: The sound device; `play` closes it.
        sample_rate: Frames a second, in Hz.
        live: Whether to play a step as soon as it arrives and to merge steps that arrive
            too fast; otherwise every step plays in order.
        volume: Linear gain, 0 to 1.
        on_caption: Called with each caption in the block in which its sound begins.
        first_step: As for `Conductor`.

    Attributes:
        volume: As given; may be changed at any time.
        muted: Whether to play silence; may be changed at any time.
        stopped: Set it to True to end playback before the end of the run.
        conductor: Composes the passages to play.

    Example:
        >>> import gradsound
        >>> import numpy as np
        >>> from gradsound.runs.model import Header, Run
        >>> from gradsound.runs.step import Step
        >>> class SilentDevice:
        ...     name, frames, played = "silent", 512, 0
        ...     def wait_for_request(self, seconds):
        ...         return True
        ...     def write(self, samples):
        ...         self.played += len(samples)
        ...     def close(self):
        ...         pass
        >>> step = Step(0, 0.0, np.ones(1, np.float32), np.zeros(1, bool))
        >>> run = Run(Header(layers=("head",), parameters=(1,), start=""), [step])
        >>> preset, device = gradsound.PRESETS["notes"], SilentDevice()
        >>> DevicePlayback(run, preset, device, 44_100, live=False, on_caption=print).play()
        0:00 step 0: end of the run: 1 step
        >>> device.played > 0.2 * 44_100
        True
    """

    def __init__(
        self,
        run: Run,
        preset: Preset,
        device: SoundDevice,
        sample_rate: int,
        *,
        live: bool,
        volume: float = 1.0,
        on_caption: Callable[[Caption], object] = lambda _: None,
        first_step: float = 0,
    ) -> None:
        self._device, self._live, self._on_caption = device, live, on_caption
        self._sample_rate = sample_rate
        self._mixer = Mixer(sample_rate, preset.channels)
        self._block_seconds = device.frames / sample_rate
        self.conductor = Conductor(
            run, preset, live=live, hold=self._block_seconds, first_step=first_step
        )
        self._blocks_at_once = 1  # until voices are compiled, more would be late
        self._request_time = 0.0  # seconds of the clock; of the next request, estimated
        self._gain = 0.0  # linear; at the end of the last block
        self._deviceless_seconds = 0.0
        self.volume, self.muted = volume, False
        self.stopped = False

    @property
    def step_number(self) -> int:
        """Number of the step that sounds; -1 before the first."""
        return self.conductor.step_number

    @property
    def failure(self) -> Exception | None:
        """The exception that ended the reading, if any."""
        return self.conductor.failure

    @property
    def spare_seconds(self) -> float:
        """Seconds for which no further step is needed, at least."""
        sequencer = self._mixer.sequencer
        left = max(
            sequencer.frames_left / self._sample_rate, self.conductor.pause(sequencer)
        )
        left += self._request_time - time.monotonic()
        # A device may request a block early: PipeWire takes blocks of a size of its own.
        spare = left - self._block_seconds - _READ_AHEAD_SECONDS
        if spare > 0:
            return spare
        # Later steps would join the one that waits: they may as well join the next one.
        return max(0.0, left) + self._block_seconds if self.conductor.has_next else 0.0

    def play(self, tail_seconds: float = np.inf) -> None:
        """Plays until the sound of the last step is over, then closes the device.

        Args:
            tail_seconds: How long to play on, at most, once the whole run is read.
        """
        switch = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        voices = self.conductor.composer.voices
        measure_loudness(voices)  # while the device opens; at a first note, a block waits
        self.conductor.start()
        self._mixer.render_by_numpy(dict.fromkeys(voices))
        compiler = threading.Thread(target=self._mixer.compile)
        left = tail_seconds
        try:
            while left > 0 and not self.stopped:
                exhausted = self.conductor.exhausted
                if self.conductor.finished and not self._mixer.frames_left:
                    break
                if self._device.wait_for_request(_POLL_SECONDS):
                    blocks = self._blocks(0.0 if self.muted else self.volume)
                    self._device.write(blocks)
                    passed = len(blocks) / self._sample_rate
                    self._request_time = time.monotonic() + passed
                    if compiler.ident is None:  # earlier, it would delay the sound
                        compiler.start()
                    elif not compiler.is_alive():
                        self._blocks_at_once = max(
                            1, int(_AHEAD_SECONDS / self._block_seconds)
                        )
                else:
                    self._skip_without_device()
                    passed = _POLL_SECONDS
                self._report_captions()
                left -= passed if exhausted else 0.0
        finally:
            if self._device.wait_for_request(2 * _AHEAD_SECONDS):
                self._device.write(self._blocks(0.0))  # fades out; a cut would click
            self._device.close()
            if compiler.ident is not None:
                compiler.join()
            sys.setswitchinterval(switch)

    def _skip_without_device(self) -> None:
        """Discards live sound after 3 s without a device, so that captions go on."""
        if self._device.name is None:
            self._deviceless_seconds += _POLL_SECONDS
        else:
            self._deviceless_seconds = 0.0
        if self._live and self._deviceless_seconds > _DEVICE_WAIT_SECONDS:
            frames = _POLL_SECONDS * self._sample_rate
            while frames > 0:
                frames -= len(self._next_blocks())

    def _report_captions(self) -> None:
        captions = self.conductor.composer.captions
        while captions and captions[0].time <= self._mixer.sequencer.time:
            self._on_caption(captions.pop(0))

    def _blocks(self, gain: float) -> Samples:
        """Returns the next blocks, shape (N, C), the first faded to a gain at its end."""
        blocks, before, self._gain = self._next_blocks(), self._gain, gain
        if before == gain:
            return blocks if gain == 1.0 else blocks * np.float32(gain)
        frames = self._device.frames
        gains = np.full((len(blocks), 1), gain, np.float32)
        gains[:frames, 0] = np.linspace(before, gain, frames + 1)[1:]
        return blocks * gains

    def _next_blocks(self) -> Samples:
        """Returns the next blocks at gain 1, shape (N, C)."""
        frames = self._device.frames
        if self._mixer.frames_left < frames:
            for passage in self.conductor.next_passages(self._mixer.sequencer):
                self._mixer.add(passage.score)
        return self._mixer.read(frames * self._count_blocks())

    def _count_blocks(self) -> int:
        """Returns how many blocks are next: one, or as many as delay no step or caption.

        Composed sound changes no more. And each request of the device wakes this process,
        whose core has other things in its caches then.
        """
        sequencer, seconds = self._mixer.sequencer, self._block_seconds
        blocks = min(sequencer.frames_left // self._device.frames, self._blocks_at_once)
        if captions := self.conductor.composer.captions:
            until = np.ceil((captions[0].time - sequencer.time) / seconds)
            blocks = min(blocks, int(until))
        return max(1, blocks)
