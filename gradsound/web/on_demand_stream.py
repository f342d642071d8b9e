"""A finished run on a page: each page hears it by itself, from where it likes."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from gradsound.music.composer import Composer
from gradsound.synth.mixer import SAMPLE_RATE
from gradsound.web.broadcast import Broadcast, greeting, programs_of
from gradsound.web.messages import caption, over, playing
from gradsound.web.overview import overview

if TYPE_CHECKING:
    from gradsound.music.moments import Moment
    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.web.listener import Listener


class OnDemandStream:
    """What each page of a finished run hears.

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
        self._hello = greeting(run, preset, composer, SAMPLE_RATE, live=False)
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
