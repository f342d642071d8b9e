"""The growing run of a worker's job, as a stream to pages."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

from gradsound.music.preset_json import from_data
from gradsound.runs.lines import read_lines
from gradsound.runs.run_file import find_restarts, parse_run
from gradsound.web.live_stream import LiveStream
from gradsound.workers.caption_log import log_caption
from gradsound.workers.process import ParentLink

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gradsound.runs.model import Run

_POLL_SECONDS = 0.1  # longest time between two reads of the run file
_SWITCH_SECONDS = 0.0005  # a page must not wait for the reader thread


def stream_run(
    job: dict[str, Any],
    serve: Callable[[LiveStream], Awaitable[None]],
    on_line: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> None:
    """Opens the run of a job and serves its stream until the training is over.

    Args:
        job: The job of this process.
        serve: Awaited with the stream; returns when the stream is over.
        on_line: Called, in another thread, with further lines from the trainer.
        **options: Further options of the stream.

    Raises:
        OSError, RunFormatError: If the run cannot be read.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    streams: list[LiveStream] = []
    outcome = "the training was killed, or it crashed"  # unless the trainer reports another

    def hear(line: str) -> None:
        nonlocal outcome
        name, _, text = line.partition(" ")
        if name == "ended":
            outcome = text
        else:
            on_line(line)

    def poll() -> bool:
        if streams:
            broadcast = streams[0].broadcast
            # A wake-up for each step that arrives during a sound would cost training time.
            time.sleep(min(broadcast.spare_seconds, _POLL_SECONDS))
        return parent.poll()

    async def stream(run: Run) -> None:
        made = LiveStream(
            run,
            from_data(job["preset"]),
            first_step=job["first_step"],
            on_caption=log_caption,
            outcome=lambda: outcome,
            **options,
        )
        streams.append(made)
        await serve(made)

    parent = ParentLink(job["parent"], hear)
    with open(job["run_descriptor"], "rb") as file:  # noqa: PTH123 (a descriptor, no path)
        restarts = find_restarts(job["run"], file)
        lines = read_lines(file, poll)
        asyncio.run(stream(parse_run(job["run"], lines, restarts, until_restart=True)))
