"""Serves the page of a run for gradsound serve, until Ctrl-C or the run's end."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import ExitStack, suppress
from math import inf
from typing import TYPE_CHECKING

from gradsound.live.run_source import RunSource
from gradsound.live.stdin_spool import spool_stdin
from gradsound.music.presets import at_speed
from gradsound.open_run import open_files
from gradsound.synth.kernels.page_voices import to_page_voices
from gradsound.web.folder_site import FolderSite
from gradsound.web.live_stream import LiveStream
from gradsound.web.on_demand_stream import OnDemandStream
from gradsound.web.page_address import PageAddress
from gradsound.web.server import Server

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gradsound.music.captions import Caption
    from gradsound.music.presets import Preset
    from gradsound.run_folder import RunFolder
    from gradsound.runs.log_choice import LogChoice
    from gradsound.runs.model import Run

_SIGTERM_STATUS = 143  # exit status after SIGTERM, the same as of the other commands


def serve(
    path: Path,
    *,
    parts: Sequence[Path] = (),
    layers: Sequence[str] | None,
    choice: LogChoice,
    preset: Preset,
    speed: float,
    follow: bool,
    port: int | None,
    host: str,
) -> None:
    """Serves a page until Ctrl-C; with ``follow``, until the end of standard input.

    Args:
        path: A run file, or a log of another tool; ``-`` for standard input.
        parts: Further parts of a run that is finished, in order; or its other ranks.
        layers: Globs over layers; None plays all.
        choice: What to read of such a log.
        preset: How steps sound.
        speed: How many times faster than the preset steps sound.
        follow: Whether to send steps as the file grows, to all pages at once. Pages show
            the steps that are already in a file, and do not play them. Otherwise each
            page plays the run from its beginning.
        port: The port; None takes the first free one.
        host: The address or name of this machine that browsers connect to.

    Raises:
        OSError: If the file cannot be read, or the port is in use.
        ValueError: If the file is not a run, or an argument is outside its range.
        MissingExtraError: If websockets is not installed.
    """
    preset = at_speed(preset, speed)
    with ExitStack() as stack:
        source = None
        if follow:
            source = stack.enter_context(RunSource(path, choice, _print))
            run = source.run(growing=not source.is_stdin)
        elif str(path) == "-":
            choice.refuse("standard input")
            run = spool_stdin(stack)
        else:
            run = open_files([path, *parts], choice)
        if layers is not None:
            run = run.select(layers)
        address = PageAddress(port, host)
        stack.enter_context(address.socket)
        with suppress(asyncio.CancelledError):
            complete = str(path) != "-"
            asyncio.run(_serve(run, preset, address, source, complete=complete))
            return
        sys.exit(_SIGTERM_STATUS)


def serve_folder(
    folder: RunFolder,
    *,
    layers: Sequence[str] | None,
    choice: LogChoice,
    preset: Preset,
    speed: float,
    port: int | None,
    host: str,
) -> None:
    """Serves the list of the runs in a folder, and their pages, until Ctrl-C.

    Its arguments besides the folder, and its errors, are those of `serve`.
    """
    address = PageAddress(port, host)
    with address.socket:
        with suppress(asyncio.CancelledError):
            asyncio.run(
                _serve_folder(folder, at_speed(preset, speed), layers, choice, address)
            )
            return
        sys.exit(_SIGTERM_STATUS)


async def _serve_folder(
    folder: RunFolder,
    preset: Preset,
    layers: Sequence[str] | None,
    choice: LogChoice,
    address: PageAddress,
) -> None:
    _announce(address)
    site = FolderSite(folder, preset, layers, choice)
    server = Server(
        site.serve_listener,
        address.token,
        site.files,
        is_public=address.is_public,
        find_page=site.find_page,
    )
    await server.serve(address.socket, site.run())


def _announce(address: PageAddress) -> None:
    """Prints the address; from then on, SIGTERM ends the server in order."""
    # It cancels the main task: an exception in one of the tasks would leave the rest.
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    with suppress(NotImplementedError, RuntimeError):  # not POSIX, or not the main thread
        loop.add_signal_handler(signal.SIGTERM, task.cancel if task else loop.stop)
    # After the handler: a program that waits for this line may then send SIGTERM.
    _print(f"{address}")


async def _serve(
    run: Run,
    preset: Preset,
    address: PageAddress,
    source: RunSource | None,
    *,
    complete: bool,
) -> None:
    _announce(address)
    stream: LiveStream | OnDemandStream
    if source is None:
        stream = OnDemandStream(run, preset, complete=complete)
    else:
        stream = LiveStream(
            run, preset, first_step=0 if source.is_stdin else inf, on_caption=_print
        )
        conductor = stream.broadcast.conductor

        def report_idle() -> None:
            if not conductor.has_steps:
                _print("waiting for the first step")
            source.on_idle = conductor.catch_up
            conductor.catch_up()

        source.on_idle = report_idle
    voices = {"voices.js": to_page_voices(stream.programs)}
    server = Server(
        stream.serve_listener, address.token, voices, is_public=address.is_public
    )
    await server.serve(address.socket, stream.run())


def _print(line: Caption | str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
