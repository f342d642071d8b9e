"""Broadcasting: a run's notes go out as their time comes, by the clock of this machine.

Shapes: K notes.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradsound.live.conductor import FASTEST, Conductor
from gradsound.synth.sequencer import Sequencer
from gradsound.web.messages import events, hello

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gradsound.live.conductor import Passage
    from gradsound.music.captions import Caption
    from gradsound.music.composer import Composer
    from gradsound.music.moments import Moment
    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.synth.voices.program import Program

_AHEAD_LIVE = 0.02  # seconds before a sound is over in which the next is composed
_AHEAD = 1.0  # seconds, where every step is known before; a network may stall as long
_POLL_SECONDS = 0.1  # seconds between looks at whether anything has come or ended


def programs_of(voices: Iterable[Program]) -> list[Program]:
    """The voices of a page, each once, in the order that its notes count them."""
    return [*dict.fromkeys(voices)]


def greeting(
    run: Run, preset: Preset, composer: Composer, sample_rate: int, *, live: bool
) -> str:
    """What a page is told first: what it hears, and whether as it happens."""
    about = {
        "note": run.header.comment,
        "start": run.header.start,
        "layers": run.header.layers,
        "preset": preset.name,
        "sample_rate": sample_rate,
        "live": live,
    }
    return hello(Path(run.name).name, about, composer.layers_by_track())


class Broadcast:
    """Sends a run.

    Args:
        run: What to send; its steps are read in a thread.
        preset: How steps sound.
        sample_rate: Frames a second, in Hz.
        send: Takes every message of notes.
        told: Takes every caption.
        live: As for `Conductor`.
        begin: As for `Conductor`.
        heard: Called with every moment, and with when it begins to sound, in seconds.
        knew: Called with moments that are known but not heard.

    Attributes:
        conductor: Who says what comes next.
    """

    def __init__(
        self,
        run: Run,
        preset: Preset,
        sample_rate: int,
        send: Callable[[bytes], object],
        told: Callable[[Caption], object],
        *,
        live: bool,
        begin: float = 0,
        heard: Callable[[Moment, float], object] = lambda *_: None,
        knew: Callable[[list[Moment]], object] = lambda _: None,
    ) -> None:
        loop, self._woken = asyncio.get_running_loop(), asyncio.Event()

        def call(function: Callable[..., object], *arguments: object) -> None:
            with suppress(RuntimeError):  # the loop is over, and so is all this
                loop.call_soon_threadsafe(function, *arguments)

        self.conductor = Conductor(
            run,
            preset,
            live=live,
            hold=FASTEST,
            begin=begin,
            knew=lambda moments: call(knew, moments),
            came=lambda: call(self._woken.set),
        )
        self._sample_rate, self._send, self._told = sample_rate, send, told
        self._placer = Sequencer(sample_rate, preset.channels)
        self._ahead = round((_AHEAD_LIVE if live else _AHEAD) * sample_rate)  # frames
        self._live, self._heard = live, heard
        voices = self.conductor.composer.voices
        programs = programs_of(voices)
        self._voices = np.array([programs.index(voice) for voice in voices])

    async def run(self) -> None:
        """Sends until nothing comes any more; what is not live is then heard, too."""
        begun = time.monotonic()
        self.conductor.begin()
        try:
            while True:
                if self.conductor.number < 0:
                    begun = time.monotonic()  # the first step is at 0
                passed = time.monotonic() - begun
                self._placer.frame = round(passed * self._sample_rate)
                self._send_next()
                if self.conductor.done and (self._live or not self._placer.left):
                    return
                await self._wait()
        finally:
            self.conductor.stop()

    @property
    def spare(self) -> float:
        """Seconds until another step is wanted, at least."""
        late = (self._placer.left - self._ahead) / self._sample_rate
        return max(0.0, late, self.conductor.pause(self._placer))

    def _send_next(self) -> None:
        before = -1.0
        while self._placer.left < self._ahead and self._placer.end > before:
            before = self._placer.end  # if no time is taken, no more comes
            for passage in self.conductor.next(self._placer):
                begin = self._placer.end
                self._send(self._placed(passage, round(begin * self._sample_rate)))
                if passage.moment is not None:
                    self._heard(passage.moment, begin)
                self._tell()
        self._tell()

    def _tell(self) -> None:
        captions = self.conductor.composer.captions
        while captions:
            self._told(captions.pop(0))

    def _placed(self, passage: Passage, begin: int) -> bytes:
        notes = passage.score.notes
        return events(
            self._placer.place(passage.score),
            self._voices[notes["voice"]],
            notes["line"],
            self._placer.frame,
            begin,
            passage.moment,
        )

    async def _wait(self) -> None:
        """Until something may be wanted, or has come."""
        if self.spare > 0:
            await asyncio.sleep(min(self.spare, _POLL_SECONDS))
            return
        with suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(self._woken.wait(), _POLL_SECONDS)
        self._woken.clear()
