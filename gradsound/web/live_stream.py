"""The stream of a training in progress: all pages hear the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gradsound.synth.sample_rate import SAMPLE_RATE
from gradsound.web.band_signals import BandSignals
from gradsound.web.broadcast import Broadcast, distinct_programs, run_hello
from gradsound.web.layer_places import LayerPlaces, make_page_tree, page_bands
from gradsound.web.messages import (
    encode_caption,
    encode_columns,
    encode_over,
    encode_rows,
)
from gradsound.web.recent_history import COLUMN_SECONDS, RecentHistory
from gradsound.web.row_view import RowView

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradsound.music.captions import Caption
    from gradsound.music.moments import Moment
    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.web.columns import Columns
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
        self._tree = make_page_tree(run.header.layers, preset)
        self._places = LayerPlaces(run.header.layers, self._tree)
        self._history = RecentHistory(self._tree.order)
        self._signals = BandSignals(page_bands(run.header.layers, preset))
        self._on_caption, self._outcome = on_caption, outcome
        self._views: dict[Listener, RowView] = {}
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
        self._hello = run_hello(run, preset, composer, self._places, SAMPLE_RATE, live=True)

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
        self._show(listener, RowView(self._tree, listener.path), listener.since)
        closed = asyncio.create_task(self._answer(listener))
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({closed, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._views[listener]
            closed.cancel()
            over.cancel()

    async def _answer(self, listener: Listener) -> None:
        """Sends the rows that a page asks for until it closes."""
        async for message in listener.messages():
            view = self._views[listener].opened(message)
            if view is not None:
                self._show(listener, view, since=-1)

    def _show(self, listener: Listener, view: RowView, since: int) -> None:
        """Sends rows, and the recent columns and captions in these rows."""
        self._views[listener] = view
        listener.send(encode_rows(view.describe()))
        columns = self._history.columns_after(since)
        if columns is not None:
            listener.send(encode_columns(columns.of_rows(view.spans)))
        if (signals := self._signals.message()) is not None:
            listener.send(signals)
        for caption, clock_offset in self._history.captions:
            listener.send(self._encode(caption, view, clock_offset, past=True))

    def _encode(
        self, caption: Caption, view: RowView, clock_offset: float, *, past: bool = False
    ) -> str:
        return encode_caption(
            caption,
            SAMPLE_RATE,
            layer=self._places.layer(caption.layers),
            rows=view.rows_of(self._places.places(caption.layers)),
            clock_offset=clock_offset,
            past=past,
        )

    def _send(self, message: str | bytes) -> None:
        for listener in [*self._views]:
            listener.send(message)

    def _send_columns_of(self, columns: Columns) -> None:
        encoded: dict[tuple[int, ...], bytes] = {}  # most pages show the same rows
        for listener, view in [*self._views.items()]:
            if view.path not in encoded:
                encoded[view.path] = encode_columns(columns.of_rows(view.spans))
            listener.send(encoded[view.path])

    def _send_caption(self, caption: Caption) -> None:
        self._history.captions.append((caption, self._clock_offset))
        for listener, view in [*self._views.items()]:
            listener.send(self._encode(caption, view, self._clock_offset))
        self._on_caption(caption)

    def _add_moment(self, moment: Moment, onset: float) -> None:
        self._history.add(moment)
        self._signals.add_moments([moment])
        if (signals := self._signals.due(onset)) is not None:
            self._send(signals)
        self._clock_offset = moment.step.time - onset

    def _add_past_moments(self, moments: list[Moment]) -> None:
        self._history.add_past(moments)
        self._signals.add_moments(moments)
        columns = self._history.columns_after(moments[0].first - 1)
        if columns is not None:
            self._send_columns_of(columns)

    async def _send_columns(self) -> None:
        while True:
            await asyncio.sleep(COLUMN_SECONDS)
            self._send_column()

    def _send_column(self) -> None:
        column = self._history.close_column()
        if column is not None:
            self._send_columns_of(column)
