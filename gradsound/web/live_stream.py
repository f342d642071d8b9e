"""The stream of a training in progress: all pages hear the same."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Protocol

from gradsound.synth.sample_rate import SAMPLE_RATE
from gradsound.web.band_signals import BandSignals
from gradsound.web.broadcast import Broadcast, distinct_programs, run_hello
from gradsound.web.layer_places import LayerPlaces, make_page_tree, page_bands
from gradsound.web.messages import (
    encode_caption,
    encode_columns,
    encode_over,
)
from gradsound.web.recent_history import COLUMN_SECONDS, RecentHistory
from gradsound.web.row_view import RowView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gradsound.music.captions import Caption
    from gradsound.music.moments import Moment
    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.web.columns import Columns
    from gradsound.web.layer_view import LayerView
    from gradsound.web.listener import Listener


class Receiver(Protocol):
    """Gets the messages of a stream: a page, or what passes them on to pages."""

    def send(self, message: str | bytes) -> None:
        """Sends a message without waiting."""


class LiveStream:
    """Sends a growing run to all pages at once.

    Args:
        run: The run to send; a thread reads its steps once.
        preset: How steps sound.
        first_step: As for `Conductor`.
        on_caption: Called with each caption.
        outcome: Called when the training is over; returns how it ended, in one line, or an
            empty text.
        picture_rate: Bytes a second of a picture of all layers, at most: the columns of a
            deep model are longer.

    Attributes:
        broadcast: Sends the note events.
        hello: The first message to each page.
        tree: The layers of the run in groups.
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
        picture_rate: float = math.inf,
    ) -> None:
        self.tree = make_page_tree(run.header.layers, preset)
        self._places = LayerPlaces(run.header.layers, self.tree)
        self._history = RecentHistory(self.tree.order)
        self._signals = BandSignals(page_bands(run.header.layers, preset))
        self._on_caption, self._outcome = on_caption, outcome
        self._column_seconds = max(
            COLUMN_SECONDS, 4 * len(run.header.layers) / picture_rate
        )
        self._views: dict[Receiver, RowView | LayerView] = {}
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
        self.hello = run_hello(run, preset, composer, self._places, SAMPLE_RATE, live=True)

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
        listener.send(self.hello)
        view = RowView(self.tree, listener.path)
        self._show(listener, view, listener.since)
        closed = asyncio.create_task(self._answer(listener, view))
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({closed, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._views[listener]
            closed.cancel()
            over.cancel()

    async def _answer(self, listener: Listener, view: RowView) -> None:
        """Sends the rows that a page asks for until it closes."""
        async for message in listener.messages():
            if (opened := view.opened(message)) is not None:
                view = opened
                self._show(listener, view, since=-1)

    def _show(self, listener: Listener, view: RowView, since: int) -> None:
        """Sends rows, and the recent columns and captions in these rows."""
        self.add(listener, view)
        listener.send(view.encode())
        for message in self.history(view, since):
            listener.send(message)

    def add(self, receiver: Receiver, view: RowView | LayerView) -> None:
        """Sends every further message to a receiver, with the rows of a view."""
        self._views[receiver] = view

    def history(
        self, view: RowView | LayerView, since: int = -1, bytes_max: float = math.inf
    ) -> Iterator[str | bytes]:
        """Yields the messages of the recent past, in the rows of a view.

        Args:
            view: The rows.
            since: Number of the last step whose column is known; -1 for none.
            bytes_max: Size of the picture, about; a larger one has merged columns.
        """
        columns = self._history.columns_after(since)
        if columns is not None:
            rows = view.norms(columns)
            size = math.ceil(rows.norms.nbytes / bytes_max) if bytes_max < math.inf else 1
            yield encode_columns(rows.merged(size) if size > 1 else rows)
        if (signals := self._signals.message()) is not None:
            yield signals
        for caption, clock_offset in self._history.captions:
            yield self._encode(caption, view, clock_offset, past=True)

    def _encode(
        self,
        caption: Caption,
        view: RowView | LayerView,
        clock_offset: float,
        *,
        past: bool = False,
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
        encoded: dict[tuple[int, ...] | None, bytes] = {}  # most pages show the same rows
        for listener, view in [*self._views.items()]:
            if view.path not in encoded:
                encoded[view.path] = encode_columns(view.norms(columns))
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
            await asyncio.sleep(self._column_seconds)
            self._send_column()

    def _send_column(self) -> None:
        column = self._history.close_column()
        if column is not None:
            self._send_columns_of(column)
