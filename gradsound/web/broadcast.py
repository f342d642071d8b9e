"""Sending of a run's note events to a page, in time with the clock of this machine.

Shapes: K notes.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradsound.live.backlog import MIN_STEP_SECONDS
from gradsound.live.conductor import Conductor
from gradsound.synth.sequencer import Sequencer
from gradsound.web.messages import encode_events, encode_hello

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gradsound.live.conductor import Passage
    from gradsound.music.captions import Caption
    from gradsound.music.composer import Composer
    from gradsound.music.moments import Moment
    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.synth.voices.program import Program
    from gradsound.web.layer_places import LayerPlaces

_LIVE_AHEAD_SECONDS = 0.02  # a live step is composed this long before the sound ends
_AHEAD_SECONDS = 1.0  # for a finished run; a network may stall as long without a gap
_POLL_SECONDS = 0.1  # between polls for a new passage or the end


def distinct_programs(voices: Iterable[Program]) -> list[Program]:
    """Returns the programs of a page, each once; note events count them in this order.

    Example:
        >>> from gradsound.synth.voices.builtin import find_voice
        >>> bell, sine = find_voice("bell"), find_voice("sine")
        >>> distinct_programs([bell, sine, bell]) == [bell, sine]
        True
    """
    return [*dict.fromkeys(voices)]


def run_hello(
    run: Run,
    preset: Preset,
    composer: Composer,
    places: LayerPlaces,
    sample_rate: int,
    *,
    live: bool,
) -> str:
    """Returns the first message to a page: the run and its tracks."""
    fields = {
        "note": run.header.comment,
        "start": run.header.start,
        "preset": preset.name,
        "sample_rate": sample_rate,
        "live": live,
    }
    lines = places.lines(composer.layers_by_track())
    return encode_hello(Path(run.name).name, fields, lines)


class Broadcast:
    """Composes a run and sends its note events when they are due.

    Args:
        run: The run to send; a thread reads its steps.
        preset: How steps sound.
        sample_rate: Frames a second, in Hz.
        send: Called with each message of note events.
        on_caption: Called with each caption as soon as it is composed.
        live: As for `Conductor`.
        first_step: As for `Conductor`.
        on_moment: Called with each moment and its onset in seconds.
        on_learned: Called with the moments before ``first_step``.

    Attributes:
        conductor: Composes the passages to send.
    """

    def __init__(
        self,
        run: Run,
        preset: Preset,
        sample_rate: int,
        send: Callable[[bytes], object],
        on_caption: Callable[[Caption], object],
        *,
        live: bool,
        first_step: float = 0,
        on_moment: Callable[[Moment, float], object] = lambda *_: None,
        on_learned: Callable[[list[Moment]], object] = lambda _: None,
    ) -> None:
        loop, self._ready = asyncio.get_running_loop(), asyncio.Event()

        def call(function: Callable[..., object], *arguments: object) -> None:
            with suppress(RuntimeError):  # the loop is closed, so nobody listens
                loop.call_soon_threadsafe(function, *arguments)

        self.conductor = Conductor(
            run,
            preset,
            live=live,
            hold=MIN_STEP_SECONDS,
            first_step=first_step,
            on_learned=lambda moments: call(on_learned, moments),
            on_ready=lambda: call(self._ready.set),
        )
        self._sample_rate, self._send, self._on_caption = sample_rate, send, on_caption
        self._sequencer = Sequencer(sample_rate, preset.channels)
        ahead_seconds = _LIVE_AHEAD_SECONDS if live else _AHEAD_SECONDS
        self._ahead = round(ahead_seconds * sample_rate)  # frames
        self._live, self._on_moment = live, on_moment
        voices = self.conductor.composer.voices
        programs = distinct_programs(voices)
        self._voices = np.array([programs.index(voice) for voice in voices])

    async def run(self) -> None:
        """Sends until the run is over; for a finished run, until its sound is over."""
        start = time.monotonic()
        self.conductor.start()
        try:
            while True:
                if self.conductor.step_number < 0:
                    start = time.monotonic()  # the first step begins at frame 0
                passed = time.monotonic() - start
                self._sequencer.frame = round(passed * self._sample_rate)
                self._send_due()
                sounding = not self._live and self._sequencer.frames_left
                if self.conductor.finished and not sounding:
                    return
                await self._wait()
        finally:
            self.conductor.stop()

    @property
    def spare_seconds(self) -> float:
        """Seconds for which no further step is needed, at least."""
        left = (self._sequencer.frames_left - self._ahead) / self._sample_rate
        return max(0.0, left, self.conductor.pause(self._sequencer))

    def _send_due(self) -> None:
        for passage in self.conductor.due_passages(self._sequencer, self._ahead):
            onset = self._sequencer.next_start
            self._send(self._encode(passage, round(onset * self._sample_rate)))
            if passage.moment is not None:
                self._on_moment(passage.moment, onset)
            self._report_captions()
        self._report_captions()

    def _report_captions(self) -> None:
        captions = self.conductor.composer.captions
        while captions:
            self._on_caption(captions.pop(0))

    def _encode(self, passage: Passage, begin: int) -> bytes:
        notes = passage.score.notes
        return encode_events(
            self._sequencer.schedule(passage.score),
            self._voices[notes["voice"]],
            notes["track"],
            self._sequencer.frame,
            begin,
            passage.moment,
        )

    async def _wait(self) -> None:
        """Waits until a passage may be due or ready, 0.1 s at most."""
        if self.spare_seconds > 0:
            await asyncio.sleep(min(self.spare_seconds, _POLL_SECONDS))
            return
        with suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(self._ready.wait(), _POLL_SECONDS)
        self._ready.clear()
