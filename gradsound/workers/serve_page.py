"""The worker process that serves a training's page to browsers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from gradsound.synth.kernels.page_voices import to_page_voices
from gradsound.web.server import Server
from gradsound.workers.process import run_job
from gradsound.workers.streamed_run import stream_run

if TYPE_CHECKING:
    from gradsound.web.live_stream import LiveStream


def main() -> None:
    """Runs the process."""
    run_job(_serve)


def _serve(job: dict[str, Any]) -> None:
    async def serve(stream: LiveStream) -> None:
        voices = {"voices.js": to_page_voices(stream.programs)}
        server = Server(stream.serve_listener, job["token"], voices, is_public=False)
        await server.serve(socket.socket(fileno=job["socket"]), stream.run())

    stream_run(job, serve)
