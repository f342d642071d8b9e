"""The page of one run in a folder, which reads the run only while somebody has it open."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

from gradsound.listed_alarms import open_listed
from gradsound.live.run_source import RunSource
from gradsound.runs.growth import is_growing, is_network
from gradsound.runs.log_choice import NO_CHOICE, LogChoice
from gradsound.synth.kernels.page_voices import to_page_voices
from gradsound.web.live_stream import LiveStream
from gradsound.web.on_demand_stream import OnDemandStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.music.presets import Preset
    from gradsound.runs.listed_run import ListedRun
    from gradsound.runs.model import Run
    from gradsound.web.listener import Listener

_GROWTH_SECONDS = 2.0  # between two looks at whether the run still grows
_LAST_SECONDS = 0.5  # in which a source reads the last steps of a run that has ended


class RunPage:
    """Follows a run that grows, and plays any other from its beginning.

    Args:
        run: The run.
        stream: Sends it.
        source: Where the run is read while it grows; None for a finished run.

    Attributes:
        files: The voices of the page, by name.
        listeners: How many pages listen.
    """

    def __init__(
        self,
        run: ListedRun,
        stream: LiveStream | OnDemandStream,
        source: RunSource | None,
    ) -> None:
        self.files = {"voices.js": to_page_voices(stream.programs).encode()}
        self.listeners = 0
        self._run, self._stream, self._source = run, stream, source
        self._tasks = [asyncio.create_task(stream.run())]
        if source is not None:
            self._tasks.append(asyncio.create_task(self._watch(source)))

    @property
    def is_live(self) -> bool:
        """Whether it follows a run that grows."""
        return self._source is not None

    @property
    def over(self) -> bool:
        """Whether the stream has ended: the run does not grow any more, or has an error."""
        return self._tasks[0].done()

    @property
    def error(self) -> BaseException | None:
        """The error with which the stream has ended; None if there is none."""
        stream = self._tasks[0]
        return stream.exception() if stream.done() and not stream.cancelled() else None

    async def serve_listener(self, listener: Listener) -> None:
        """Sends the run to a page until it closes, or the stream ends."""
        self.listeners += 1
        served = asyncio.create_task(self._stream.serve_listener(listener))
        try:
            await asyncio.wait({served, self._tasks[0]}, return_when="FIRST_COMPLETED")
            if self.error is None:
                await served  # a live stream ends with its last message
        finally:
            served.cancel()
            self.listeners -= 1

    def close(self) -> None:
        """Ends the stream."""
        for task in self._tasks:
            task.cancel()
        if self._source is not None:
            self._source.close()

    async def _watch(self, source: RunSource) -> None:
        """Ends the source when the run does not grow any more."""
        path = self._run.paths[0]
        with suppress(OSError), path.open("rb") as file:
            network = is_network(path.stat().st_dev)
            while is_growing(file.fileno(), 0.0, network=network):
                await asyncio.sleep(_GROWTH_SECONDS)
        await asyncio.sleep(_LAST_SECONDS)
        source.close()


async def open_run_page(
    run: ListedRun,
    preset: Preset,
    layers: Sequence[str] | None,
    choice: LogChoice,
) -> RunPage:
    """Opens the page of a run.

    Args:
        run: The run. Several ranks that grow are played up to their present end.
        preset: How steps sound.
        layers: Globs over layers; None plays all.
        choice: What to read of another tool's log.

    Raises:
        OSError, RunFormatError: If the run cannot be read.
        ValueError: If a glob matches no layer, or a run that does not grow has no steps.
    """
    if run.state != "growing" or run.ranks > 1:
        finished = await asyncio.to_thread(open_listed, run, choice)
        finished = finished if layers is None else finished.select(layers)
        if not run.tool and await asyncio.to_thread(_is_empty, finished):
            raise ValueError(f"{run.name}: has no steps, so there is nothing to hear")
        return RunPage(run, OnDemandStream(finished, preset), None)
    source = RunSource(run.paths[0], choice if run.tool else NO_CHOICE)
    try:
        growing = await asyncio.to_thread(source.run, growing=True)
        growing = growing if layers is None else growing.select(layers)
        stream = LiveStream(growing, preset, first_step=inf)
    except (OSError, ValueError):
        source.close()
        raise
    source.on_idle = stream.broadcast.conductor.catch_up
    return RunPage(run, stream, source)


def _is_empty(run: Run) -> bool:
    return next(iter(run.blocks()), None) is None
