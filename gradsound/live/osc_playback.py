"""Playback by a receiver of Open Sound Control: notes sent shortly before they are due."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.live.backlog import MIN_STEP_SECONDS
from gradsound.live.conductor import Conductor
from gradsound.music.equal_loudness import measure_loudness
from gradsound.output.osc_messages import caption_message, message, note_messages
from gradsound.synth.sample_rate import SAMPLE_RATE
from gradsound.synth.sequencer import Sequencer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradsound.live.conductor import Passage
    from gradsound.music.captions import Caption
    from gradsound.music.presets import Preset
    from gradsound.output.osc_messages import TimedMessage
    from gradsound.output.osc_receiver import OscReceiver
    from gradsound.runs.model import Run

LATENCY_SECONDS = 0.2  # from the sending of a note to its sound, at least
# That a passage is composed before the last one is over; a busy machine stalls as long.
_AHEAD_SECONDS, _LIVE_AHEAD_SECONDS = 0.3, 0.02
_CLOCK_SECONDS = 0.05  # by which somebody has set the clock, and no reading of it is off
_POLL_SECONDS = 0.05  # between polls for a new passage, a key or the end


class OscPlayback:
    """Plays a run by messages to a receiver, in time with the clock of this machine.

    Args:
        run: The run to play. A thread iterates its steps once; they may still grow.
        preset: How steps sound.
        receiver: Where the messages go; `play` closes it.
        live: Whether to play a step as soon as it arrives and to merge steps that arrive
            too fast; otherwise every step plays in order.
        volume: Linear gain, 0 to 1.
        on_caption: Called with each caption when its sound begins.
        first_step: As for `Conductor`.

    Attributes:
        volume: As given; may be changed at any time, for the notes after it.
        muted: Whether to send no notes; may be changed at any time.
        stopped: Set it to True to end playback before the end of the run.
        conductor: Composes the passages to play.
    """

    def __init__(
        self,
        run: Run,
        preset: Preset,
        receiver: OscReceiver,
        *,
        live: bool,
        volume: float = 1.0,
        on_caption: Callable[[Caption], object] = lambda _: None,
        first_step: float = 0,
    ) -> None:
        self._run, self._preset, self._receiver = run, preset, receiver
        self._on_caption = on_caption
        self._captions: list[Caption] = []  # sent, and not yet due
        self._ready = threading.Event()
        self._start = self._clock = 0.0  # seconds; of frame 0, and from it to the date
        self.conductor = Conductor(
            run,
            preset,
            live=live,
            hold=MIN_STEP_SECONDS,
            first_step=first_step,
            on_ready=self._ready.set,
        )
        self._sequencer = Sequencer(SAMPLE_RATE, preset.channels)
        seconds = _LIVE_AHEAD_SECONDS if live else _AHEAD_SECONDS
        self._ahead = round(seconds * SAMPLE_RATE)  # frames
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

    def play(self) -> None:
        """Plays until the sound of the last step is over, then closes the receiver."""
        # At the first note of a voice, this would delay a passage.
        measure_loudness(self.conductor.composer.voices)
        self._start = time.monotonic()
        self._send_names()
        self.conductor.start()
        try:
            while not self.stopped:
                if self.step_number < 0:
                    self._start = time.monotonic()  # the first step begins at frame 0
                passed = time.monotonic() - self._start
                self._sequencer.frame = round(passed * SAMPLE_RATE)
                for passage in self.conductor.due_passages(self._sequencer, self._ahead):
                    self._send_passage(passage)
                self._report_captions()
                if self.conductor.finished and not self._sequencer.frames_left:
                    break
                self._wait()
        finally:
            self.conductor.stop()
            end = message("end", "i", self.step_number)
            self._send([(self._sequencer.time, end)])
            self._receiver.close()

    def _send(self, messages: list[TimedMessage]) -> None:
        """Sends messages that are due at these seconds of the sound."""
        clock = time.time() - time.monotonic()
        if abs(clock - self._clock) > _CLOCK_SECONDS:
            self._clock = clock
        begin = self._clock + self._start + LATENCY_SECONDS
        self._receiver.send((begin + at, one) for at, one in messages)

    def _send_names(self) -> None:
        """Sends the name of the run and those of its tracks."""
        names = self.conductor.composer.track_descriptions()
        run = Path(self._run.name).name, self._preset.name, len(names)
        messages = [message("run", "ssi", *run)]
        messages += [message("track", "is", *track) for track in enumerate(names)]
        self._send([(0.0, one) for one in messages])

    def _send_passage(self, passage: Passage) -> None:
        begin = self._sequencer.next_start
        self._sequencer.schedule(passage.score)
        step = self.step_number if passage.moment is None else passage.moment.step.number
        volume = 0.0 if self.muted else self.volume
        captions = self.conductor.composer.captions
        self._captions += captions
        self._send(
            [
                *note_messages(passage.score, begin, step, volume),
                *((caption.time, caption_message(caption)) for caption in captions),
            ]
        )
        captions.clear()

    def _report_captions(self) -> None:
        over = self.conductor.finished and not self._sequencer.frames_left
        # Presets without alarm sounds end before the time of their last captions.
        while self._captions and (over or self._captions[0].time <= self._sequencer.time):
            self._on_caption(self._captions.pop(0))

    def _wait(self) -> None:
        """Waits until a passage may be due or ready, 0.05 s at most."""
        left = (self._sequencer.frames_left - self._ahead) / SAMPLE_RATE
        spare = max(left, self.conductor.pause(self._sequencer))
        if spare > 0:
            time.sleep(min(spare, _POLL_SECONDS))
        else:
            self._ready.wait(_POLL_SECONDS)
            self._ready.clear()
