"""The process that serves the page of a training, beside it."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from gradsound.music.preset_json import from_data
from gradsound.runs.reader import lines, parse
from gradsound.synth.kernels.javascript import module
from gradsound.web.live_stream import LiveStream
from gradsound.web.server import Server
from gradsound.workers.process import ParentLink, serve, tell

if TYPE_CHECKING:
    from gradsound.runs.model import Run

_POLL_SECONDS = 0.1  # seconds between looks at the file, at most
_SWITCH = 0.0005  # seconds; a page must not wait for the thread that reads


def main() -> None:
    """What the process does."""
    sys.setswitchinterval(_SWITCH)
    serve(_serve)


def _serve(job: dict[str, Any]) -> None:
    stations: list[LiveStream] = []
    how = ["the training was killed, or it crashed"]  # unless it says something else

    def told(line: str) -> None:
        name, _, words = line.partition(" ")
        if name == "ended":
            how[0] = words

    def more() -> bool:
        if stations:
            broadcast = stations[0].broadcast
            broadcast.conductor.take_in()
            # To wake up for every step, while one sounds, would take training time.
            time.sleep(min(broadcast.spare, _POLL_SECONDS))
        return trainer.may_write()

    async def on_air(run: Run) -> None:
        station = LiveStream(run, from_data(job["preset"]), tell=tell, how=lambda: how[0])
        stations.append(station)
        voices = {"voices.js": module(station.programs)}
        server = Server(station.attend, job["token"], voices, elsewhere=False)
        await server.serve(socket.socket(fileno=job["socket"]), station.run())

    trainer = ParentLink(job["trainer"], told)
    with open(job["reading"], "rb") as file:  # noqa: PTH123 (a descriptor, no path)
        asyncio.run(on_air(parse(job["run"], lines(file, more))))
