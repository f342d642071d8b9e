"""The streams of a finished run: each page plays it by itself, from any step."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from gradsound.music.anchor import AnchorFit
from gradsound.music.composer import Composer
from gradsound.music.rank_sound import rank_preset
from gradsound.runs.step_stream import StepStream
from gradsound.synth.sample_rate import SAMPLE_RATE
from gradsound.web.band_signals import BandSignals
from gradsound.web.broadcast import Broadcast, distinct_programs, run_hello
from gradsound.web.layer_places import LayerPlaces, make_page_tree, page_bands
from gradsound.web.messages import (
    encode_caption,
    encode_over,
    encode_playing,
)
from gradsound.web.overview import make_overview
from gradsound.web.row_view import RowView

if TYPE_CHECKING:
    from gradsound.music.captions import Caption
    from gradsound.music.moments import Moment
    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.runs.step_block import StepBlock
    from gradsound.web.listener import Listener
    from gradsound.web.overview import Overview


class OnDemandStream:
    """Sends a finished run to each page from the step that the page asks for.

    Args:
        run: The run to send; every playback reads its steps.
        preset: How steps sound.
        complete: Whether all steps can be read at once. If so, a playback waits until the
            stream has read them, to fit the anchor of the pitches.

    Attributes:
        programs: Programs of the page's voices.
    """

    def __init__(self, run: Run, preset: Preset, *, complete: bool = True) -> None:
        preset = rank_preset(preset, [run.header.layers])
        self._run, self._preset, self._complete = run, preset, complete
        composer = Composer(run.header.layers, preset)
        self.programs = distinct_programs(composer.voices)
        self._tree = make_page_tree(run.header.layers, preset)
        self._places = LayerPlaces(run.header.layers, self._tree)
        self._bands = page_bands(run.header.layers, preset)
        self._signals = BandSignals(self._bands)  # at the end of the run
        self._hello = run_hello(
            run, preset, composer, self._places, SAMPLE_RATE, live=False
        )
        self._fitted: asyncio.Future[Preset] = asyncio.get_running_loop().create_future()
        self._overview: asyncio.Future[Overview] = (
            asyncio.get_running_loop().create_future()
        )

    async def run(self) -> None:
        """Makes the overview of the run, then waits until it is cancelled.

        Raises:
            OSError, RunFormatError: If the run cannot be read.
        """
        loop, run, preset = asyncio.get_running_loop(), self._run, self._preset

        def fit(preset: Preset) -> None:
            if not self._fitted.done():  # cancelled: the server ends
                self._fitted.set_result(preset)

        def resolve(overview: Overview | None, error: Exception | None) -> None:
            if self._overview.done():  # cancelled: the server ends
                return
            if error is not None:
                self._overview.set_exception(error)
            elif overview is not None:
                self._overview.set_result(overview)

        def read() -> None:
            overview, failure = None, None
            try:
                fitted, bands = AnchorFit(preset), preset.bands_of(run.header.layers)

                def add(block: StepBlock) -> None:
                    fitted.add(block, bands)
                    self._signals.add(block)

                overview = make_overview(run, self._tree, preset.thresholds, add)
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(fit, fitted.preset())
            except (OSError, ValueError) as error:
                failure = error
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(resolve, overview, failure)

        threading.Thread(target=read, daemon=True).start()
        await self._overview
        await loop.create_future()

    async def serve_listener(self, listener: Listener) -> None:
        """Sends the overview to a page, then plays and pauses for it until it closes."""
        listener.send(self._hello)
        playback: asyncio.Task[None] | None = None
        view = RowView(self._tree, listener.path)
        shown = asyncio.create_task(self._show_first(listener, view))
        try:
            async for message in listener.messages():
                opened = view.opened(message)
                if opened is not None:
                    view = opened
                    shown.cancel()
                    shown = asyncio.create_task(self._show(listener, view, since=-1))
                    continue
                if playback is not None:
                    playback.cancel()
                first_step = message.get("from", 0)
                if message.get("kind") == "play" and isinstance(first_step, int):
                    listener.send(encode_playing())
                    playback = asyncio.create_task(self._play(listener, first_step))
        finally:
            shown.cancel()
            if playback is not None:
                playback.cancel()

    async def _show_first(self, listener: Listener, view: RowView) -> None:
        """Sends rows, columns and marks, then the signals at the end of the run."""
        await self._show(listener, view, listener.since)
        if (signals := self._signals.message()) is not None:
            listener.send(signals)

    async def _show(self, listener: Listener, view: RowView, since: int) -> None:
        """Sends rows, the columns in these rows unless the page has them, and the marks."""
        listener.send(view.encode())
        overview = await asyncio.shield(self._overview)
        if since < 0:
            listener.send(overview.columns(view))
        listener.send(overview.marks(view))

    async def _play(self, listener: Listener, first_step: int) -> None:
        clock_offset = 0.0  # seconds from the sound's clock to the run's
        signals = BandSignals(self._bands)

        def on_moment(moment: Moment, onset: float) -> None:
            nonlocal clock_offset
            clock_offset = moment.step.time - onset
            signals.add_moments([moment])
            if (message := signals.due(onset)) is not None:
                listener.send(message)

        def on_caption(caption: Caption) -> None:
            message = encode_caption(
                caption,
                SAMPLE_RATE,
                layer=self._places.layer(caption.layers),
                clock_offset=clock_offset,
            )
            listener.send(message)

        run, preset = self._run, self._preset
        if self._complete or self._fitted.done():
            preset = await asyncio.shield(self._fitted)
        else:  # nobody knows all norms yet; the anchor follows those of an iterator
            run = replace(run, steps=StepStream(run.blocks()))
        broadcast = Broadcast(
            run,
            preset,
            SAMPLE_RATE,
            listener.send,
            on_caption,
            live=False,
            first_step=first_step,
            on_moment=on_moment,
            on_learned=signals.add_moments,
        )
        await broadcast.run()
        listener.send(encode_over())
