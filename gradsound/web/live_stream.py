"""The stream of a training in progress: all pages hear the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gradsound.synth.sample_rate import SAMPLE_RATE
from gradsound.web.broadcast import Broadcast, distinct_programs, run_hello
from gradsound.web.messages import encode_caption, encode_columns, encode_over
from gradsound.web.recent_history import COLUMN_SECONDS, RecentHistory

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradsound.music.captions import Caption
    from gradsound.music.moments import Moment
    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.web.listener import Listener


class LiveStream:
    """Sends a growing run to all pages at once.

    Args:
        run: The run to send; a thread reads its steps once.
        preset: How steps sound.
        first_step: As for `Conductor`.
        on_caption: Called with each caption.
        outcome: Called when the training is over; returns how it ended, in one line, or an
            empty text.

    Attributes:
        broadcast: Sends the note events.
        programs: Programs of the page's voices.
    """

    def __init__(
        self,
        run: Run,
        preset: Preset,
        *,
        first_step: float = 0,
        on_caption: Callable[[Caption], object] = lambda _: None,
        outcome: Callable[[], str] = lambda: "",
    ) -> None:
        self._history = RecentHistory(len(run.header.layers))
        self._on_caption, self._outcome = on_caption, outcome
        self._listeners: set[Listener] = set()
        self._over = asyncio.Event()
        self._clock_offset = 0.0  # seconds from the sound's clock to the run's
        self.broadcast = Broadcast(
            run,
            preset,
            SAMPLE_RATE,
            self._send,
            self._send_caption,
            live=True,
            first_step=first_step,
            on_moment=self._add_moment,
            on_learned=self._add_past_moments,
        )
        composer = self.broadcast.conductor.composer
        self.programs = distinct_programs(composer.voices)
        self._hello = run_hello(run, preset, composer, SAMPLE_RATE, live=True)

    async def run(self) -> None:
        """Sends until the training is over.

        Raises:
            OSError, RunFormatError: If the run cannot be read.
        """
        columns = asyncio.create_task(self._send_columns())
        await self.broadcast.run()
        columns.cancel()
        self._send_column()
        self._send(encode_over(self._outcome()))
        self._over.set()
        if self.broadcast.conductor.failure is not None:
            raise self.broadcast.conductor.failure

    async def serve_listener(self, listener: Listener) -> None:
        """Sends the recent history to a page, then adds it until it closes.

        Returns when the page closes or the training is over.
        """
        listener.send(self._hello)
        listener.send(self._history.columns_after(listener.since))
        for message in self._history.captions:
            listener.send(message)
        self._listeners.add(listener)
        closed = asyncio.create_task(_wait_for_message(listener))
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({closed, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._listeners.discard(listener)
            closed.cancel()
            over.cancel()

    def _send(self, message: str | bytes) -> None:
        for listener in [*self._listeners]:
            listener.send(message)

    def _send_caption(self, caption: Caption) -> None:
        offset = self._clock_offset
        past = encode_caption(caption, SAMPLE_RATE, clock_offset=offset, past=True)
        self._history.captions.append(past)
        self._send(encode_caption(caption, SAMPLE_RATE, clock_offset=offset))
        self._on_caption(caption)

    def _add_moment(self, moment: Moment, onset: float) -> None:
        self._history.add(moment)
        self._clock_offset = moment.step.time - onset

    def _add_past_moments(self, moments: list[Moment]) -> None:
        self._history.add_past(moments)
        self._send(self._history.columns_after(moments[0].first - 1))

    async def _send_columns(self) -> None:
        while True:
            await asyncio.sleep(COLUMN_SECONDS)
            self._send_column()

    def _send_column(self) -> None:
        column = self._history.close_column()
        if column is not None:
            self._send(encode_columns([column]))


async def _wait_for_message(listener: Listener) -> None:
    """Returns when a page closes or sends a message; a live page never sends one."""
    async for _ in listener.messages():
        return
