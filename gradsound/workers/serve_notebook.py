"""The worker process that sends a training's stream to the kernel of a notebook."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gradsound.web.layer_view import LayerView
from gradsound.web.messages import encode_alive
from gradsound.web.notebook_page import make_notebook_page
from gradsound.workers.message_pipe import MessagePipe
from gradsound.workers.process import run_job
from gradsound.workers.streamed_run import stream_run

if TYPE_CHECKING:
    from gradsound.web.live_stream import LiveStream

_HEARTBEAT_SECONDS = 5.0  # the page takes 15 s without a message for a loss
# A Jupyter server drops what exceeds 1 MB a second, the output of the training included.
_PICTURE_RATE = 250_000  # bytes a second
_HISTORY_BYTES = 250_000  # of the picture's past
# The past comes by itself too, because a kernel that is busy may not hear a page ask.
_FIRST_HISTORY_SECONDS, _HISTORY_SECONDS = 1.0, 16.0
_DRAIN_SECONDS = 0.5  # for the last messages


def main() -> None:
    """Runs the process."""
    run_job(_serve)


def _serve(job: dict[str, Any]) -> None:
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Queue[str]]] = []

    def on_line(line: str) -> None:
        name, _, identifier = line.partition(" ")
        if name != "history":
            return
        for loop, wanted in loops:
            with suppress(RuntimeError):  # the loop is closed: the run is over
                loop.call_soon_threadsafe(wanted.put_nowait, identifier)

    async def serve(stream: LiveStream) -> None:
        pipe, view = MessagePipe(job["pipe"]), LayerView(stream.tree)
        page = make_notebook_page(stream.programs)
        pipe.send_batch([], page=page, run=[stream.hello, view.encode()])
        stream.add(pipe, view)
        wanted: asyncio.Queue[str] = asyncio.Queue()
        loops.append((asyncio.get_running_loop(), wanted))
        tasks = [
            asyncio.create_task(_send_heartbeats(pipe)),
            asyncio.create_task(_ask_for_history(wanted)),
            asyncio.create_task(_send_history(stream, pipe, view, wanted)),
        ]
        try:
            await stream.run()
        finally:
            for task in tasks:
                task.cancel()
            await pipe.drain(_DRAIN_SECONDS)

    stream_run(job, serve, on_line, picture_rate=_PICTURE_RATE)


async def _send_heartbeats(pipe: MessagePipe) -> None:
    while True:
        await asyncio.sleep(_HEARTBEAT_SECONDS)
        pipe.send(encode_alive())


async def _ask_for_history(wanted: asyncio.Queue[str]) -> None:
    """Asks for the past in the name of pages that the kernel does not hear."""
    seconds = _FIRST_HISTORY_SECONDS
    while True:
        await asyncio.sleep(seconds)
        wanted.put_nowait("")
        seconds = min(2 * seconds, _HISTORY_SECONDS)


async def _send_history(
    stream: LiveStream, pipe: MessagePipe, view: LayerView, wanted: asyncio.Queue[str]
) -> None:
    """Sends the past to the pages that ask for it."""
    while True:
        identifiers = [await wanted.get()]
        while not wanted.empty():
            identifiers.append(wanted.get_nowait())
        pipe.flush()  # its columns are in the past that follows
        past = stream.history(view, bytes_max=_HISTORY_BYTES)
        pipe.send_batch(past, history=identifiers)
