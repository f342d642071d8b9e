"""The worker process that serves a training's page to browsers."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from gradsound.music.preset_json import from_data
from gradsound.runs.lines import read_lines
from gradsound.runs.reader import find_restarts, parse_run
from gradsound.synth.kernels.page_voices import to_page_voices
from gradsound.web.live_stream import LiveStream
from gradsound.web.server import Server
from gradsound.workers.caption_log import log_caption
from gradsound.workers.process import ParentLink, run_job

if TYPE_CHECKING:
    from gradsound.runs.model import Run

_POLL_SECONDS = 0.1  # longest time between two reads of the run file
_SWITCH_SECONDS = 0.0005  # a page must not wait for the reader thread


def main() -> None:
    """Runs the process."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    run_job(_serve)


def _serve(job: dict[str, Any]) -> None:
    streams: list[LiveStream] = []
    outcome = "the training was killed, or it crashed"  # unless the trainer reports another

    def on_line(line: str) -> None:
        nonlocal outcome
        name, _, text = line.partition(" ")
        if name == "ended":
            outcome = text

    def poll() -> bool:
        if streams:
            broadcast = streams[0].broadcast
            # A wake-up for each step that arrives during a sound would cost training time.
            time.sleep(min(broadcast.spare_seconds, _POLL_SECONDS))
        return parent.poll()

    async def serve(run: Run) -> None:
        preset = from_data(job["preset"])
        stream = LiveStream(
            run,
            preset,
            first_step=job["first_step"],
            on_caption=log_caption,
            outcome=lambda: outcome,
        )
        streams.append(stream)
        voices = {"voices.js": to_page_voices(stream.programs)}
        server = Server(stream.serve_listener, job["token"], voices, is_public=False)
        await server.serve(socket.socket(fileno=job["socket"]), stream.run())

    parent = ParentLink(job["parent"], on_line)
    with open(job["run_descriptor"], "rb") as file:  # noqa: PTH123 (a descriptor, no path)
        restarts = find_restarts(job["run"], file)
        lines = read_lines(file, poll)
        asyncio.run(serve(parse_run(job["run"], lines, restarts, until_restart=True)))
