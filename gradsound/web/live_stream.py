"""A training on a page, as it happens: whoever listens hears the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gradsound.synth.mixer import SAMPLE_RATE
from gradsound.web.broadcast import Broadcast, greeting, programs_of
from gradsound.web.messages import caption, columns, over
from gradsound.web.recent_history import APART, RecentHistory

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradsound.music.captions import Caption
    from gradsound.music.moments import Moment
    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.web.listener import Listener


class LiveStream:
    """What all pages of a training hear.

    Args:
        run: What to send; its steps are read once.
        preset: How steps sound.
        begin: As for `Conductor`.
        tell: Called with every caption.
        how: Called when the training is over: how it ended, in words, empty if unknown.

    Attributes:
        broadcast: What sends.
        programs: The voices of the page.
    """

    def __init__(
        self,
        run: Run,
        preset: Preset,
        *,
        begin: float = 0,
        tell: Callable[[Caption], object] = lambda _: None,
        how: Callable[[], str] = lambda: "",
    ) -> None:
        self._recent, self._tell, self._how = (
            RecentHistory(len(run.header.layers)),
            tell,
            how,
        )
        self._listeners: set[Listener] = set()
        self._over = asyncio.Event()
        self._later = 0.0  # seconds by which the training began before the sound
        self.broadcast = Broadcast(
            run,
            preset,
            SAMPLE_RATE,
            self._send,
            self._told,
            live=True,
            begin=begin,
            heard=self._heard,
            knew=self._knew,
        )
        composer = self.broadcast.conductor.composer
        self.programs = programs_of(composer.voices)
        self._hello = greeting(run, preset, composer, SAMPLE_RATE, live=True)

    async def run(self) -> None:
        """Sends until the training is over.

        Raises:
            OSError, RunFormatError: If the run cannot be read.
        """
        showing = asyncio.create_task(self._show())
        await self.broadcast.run()
        showing.cancel()
        self._send_column()
        self._send(over(self._how()))
        self._over.set()
        if self.broadcast.conductor.failure is not None:
            raise self.broadcast.conductor.failure

    async def attend(self, listener: Listener) -> None:
        """Has a page listen until it goes, or the training is over."""
        listener.send(self._hello)
        listener.send(self._recent.since(listener.since))
        for told in self._recent.captions:
            listener.send(told)
        self._listeners.add(listener)
        gone = asyncio.create_task(_first(listener))  # pages have nothing to say here
        ended = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({gone, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._listeners.discard(listener)
            gone.cancel()
            ended.cancel()

    def _send(self, message: str | bytes) -> None:
        for listener in [*self._listeners]:
            listener.send(message)

    def _told(self, told: Caption) -> None:
        past = caption(told, SAMPLE_RATE, later=self._later, past=True)
        self._recent.captions.append(past)
        self._send(caption(told, SAMPLE_RATE, later=self._later))
        self._tell(told)

    def _heard(self, moment: Moment, begin: float) -> None:
        self._recent.add(moment)
        self._later = moment.step.time - begin

    def _knew(self, moments: list[Moment]) -> None:
        self._recent.recall(moments)
        self._send(self._recent.since(moments[0].first - 1))

    async def _show(self) -> None:
        while True:
            await asyncio.sleep(APART)
            self._send_column()

    def _send_column(self) -> None:
        column = self._recent.column()
        if column is not None:
            self._send(columns([column]))


async def _first(listener: Listener) -> None:
    """Until a page says something, or is gone."""
    async for _ in listener.said():
        return
