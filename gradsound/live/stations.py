"""What pages hear: all of them a training as it happens, or each a finished run."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.live.broadcasting import Broadcast, programs_of
from gradsound.music.composing import Composer
from gradsound.out.web.messages import caption, columns, hello, over, playing
from gradsound.out.web.overview import overview
from gradsound.out.web.recent import APART, Recent
from gradsound.rendering import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradsound.music.captions import Caption
    from gradsound.music.moments import Moment
    from gradsound.music.preset import Preset
    from gradsound.out.web.listener import Listener
    from gradsound.run import Run


class OnAir:
    """A training as it happens: whoever listens hears the same.

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
        self._recent, self._tell, self._how = Recent(len(run.header.layers)), tell, how
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
        self._hello = _hello(run, preset, composer, live=True)

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


class OnDemand:
    """A finished run: every page hears it by itself, from where it likes.

    Args:
        run: What to send; its steps are read by each listener.
        preset: How steps sound.

    Attributes:
        programs: The voices of the page.
    """

    def __init__(self, run: Run, preset: Preset) -> None:
        self._run, self._preset = run, preset
        composer = Composer(run.header.layers, preset)
        self.programs = programs_of(composer.voices)
        self._hello = _hello(run, preset, composer, live=False)
        self._overview: asyncio.Future[tuple[bytes, str]] = (
            asyncio.get_running_loop().create_future()
        )

    async def run(self) -> None:
        """Looks at the run, and then waits for ever.

        Raises:
            OSError, RunFormatError: If the run cannot be read.
        """
        loop = asyncio.get_running_loop()

        def looked(found: tuple[bytes, str] | None, error: Exception | None) -> None:
            if self._overview.done():  # nobody serves it any more
                return
            if error is not None:
                self._overview.set_exception(error)
            elif found is not None:
                self._overview.set_result(found)

        def look() -> None:
            found, wrong = None, None
            try:
                found = overview(self._run, self._preset.thresholds)
            except (OSError, ValueError) as error:
                wrong = error
            with suppress(RuntimeError):  # the loop is over
                loop.call_soon_threadsafe(looked, found, wrong)

        threading.Thread(target=look, daemon=True).start()
        await self._overview
        await loop.create_future()

    async def attend(self, listener: Listener) -> None:
        """Has a page listen until it goes."""
        listener.send(self._hello)
        task: asyncio.Task[None] | None = None
        showing = asyncio.create_task(self._show(listener))
        try:
            async for said in listener.said():
                if task is not None:
                    task.cancel()
                begin = said.get("from", 0)
                if said.get("kind") == "play" and isinstance(begin, int):
                    listener.send(playing())
                    task = asyncio.create_task(self._play(listener, begin))
        finally:
            showing.cancel()
            if task is not None:
                task.cancel()

    async def _show(self, listener: Listener) -> None:
        for message in await asyncio.shield(self._overview):
            listener.send(message)

    async def _play(self, listener: Listener, begin: int) -> None:
        later = 0.0  # seconds by which the run's clock is before that of the sound

        def heard(moment: Moment, begin: float) -> None:
            nonlocal later
            later = moment.step.time - begin

        broadcast = Broadcast(
            self._run,
            self._preset,
            SAMPLE_RATE,
            listener.send,
            lambda told: listener.send(caption(told, SAMPLE_RATE, later=later)),
            live=False,
            begin=begin,
            heard=heard,
        )
        await broadcast.run()
        listener.send(over())


async def _first(listener: Listener) -> None:
    """Until a page says something, or is gone."""
    async for _ in listener.said():
        return


def _hello(run: Run, preset: Preset, composer: Composer, *, live: bool) -> str:
    about = {
        "note": run.header.note,
        "start": run.header.start,
        "layers": run.header.layers,
        "preset": preset.name,
        "sample_rate": SAMPLE_RATE,
        "live": live,
    }
    return hello(Path(run.name).name, about, composer.gathered())
