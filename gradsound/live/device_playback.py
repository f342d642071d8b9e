"""Playback of a run on the sound device, block by block.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import sys
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
_DEVICE_WAIT_SECONDS = 3.0  # that live steps wait for a device
_POLL_SECONDS = 0.1  # between polls of the end condition while no device asks
_SWITCH_SECONDS = 0.0005  # interpreter lock; a block must not wait for the reader thread
_BLOCKS_AT_ONCE = 8  # eight blocks take little longer to render than one


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
        self._rendered = np.zeros((0, preset.channels), np.float32)  # not yet played
        self._blocks_at_once = 1  # until voices are compiled, eight would be late
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
        return max(0.0, self._left / self._sample_rate - _READ_AHEAD_SECONDS)

    @property
    def _left(self) -> int:
        """Frames that were composed and not yet played."""
        return len(self._rendered) + self._mixer.frames_left

    def play(self, tail_seconds: float = np.inf) -> None:
        """Plays until the sound of the last step is over, then closes the device.

        Args:
            tail_seconds: How long to play on, at most, once the whole run is read.
        """
        switch = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        # At the first note of a voice, this would delay a block.
        measure_loudness(self.conductor.composer.voices)
        self.conductor.start()
        compiler = self._mixer.compiler_thread(
            dict.fromkeys(self.conductor.composer.voices)
        )
        left = tail_seconds
        try:
            while left > 0 and not self.stopped:
                exhausted = self.conductor.exhausted
                if self.conductor.finished and not self._left:
                    break
                if self._device.wait_for_request(_POLL_SECONDS):
                    self._device.write(self._block(0.0 if self.muted else self.volume))
                    passed = self._block_seconds
                    if compiler.ident is None:  # earlier, it would delay the first sound
                        compiler.start()
                    elif not compiler.is_alive():
                        self._blocks_at_once = _BLOCKS_AT_ONCE
                else:
                    self._skip_without_device()
                    passed = _POLL_SECONDS
                self._report_captions()
                left -= passed if exhausted else 0.0
        finally:
            if self._device.wait_for_request(_POLL_SECONDS):
                self._device.write(self._block(0.0))  # fades out; a cut would click
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
            for _ in range(round(_POLL_SECONDS / self._block_seconds)):
                self._next_block()

    def _report_captions(self) -> None:
        captions = self.conductor.composer.captions
        now = self._mixer.sequencer.time - len(self._rendered) / self._sample_rate
        while captions and captions[0].time <= now:
            self._on_caption(captions.pop(0))

    def _block(self, gain: float) -> Samples:
        """Returns the next block, shape (N, C), faded to a gain at its end."""
        block = self._next_block()
        before, self._gain = self._gain, gain
        if self._gain != before:
            ramp = np.linspace(before, self._gain, len(block) + 1, dtype=np.float32)[1:]
            return block * ramp[:, None]
        return block if self._gain == 1.0 else block * np.float32(self._gain)

    def _next_block(self) -> Samples:
        """Returns the next block at gain 1, shape (N, C)."""
        frames = self._device.frames
        if not len(self._rendered):
            if self._mixer.frames_left < frames:
                for passage in self.conductor.next_passages(self._mixer.sequencer):
                    self._mixer.add(passage.score)
            # No passage is added before these blocks are over, so rendering several at
            # once delays no step.
            blocks = min(max(1, self._mixer.frames_left // frames), self._blocks_at_once)
            self._rendered = self._mixer.read(blocks * frames)
        block, self._rendered = self._rendered[:frames], self._rendered[frames:]
        return block
