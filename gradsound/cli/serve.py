"""gradsound serve: a run on a page, for whoever has its address."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import ExitStack, suppress
from math import inf
from typing import TYPE_CHECKING

from gradsound.live.run_source import RunSource
from gradsound.live.stdin_spool import kept
from gradsound.music.presets import at_speed
from gradsound.open_run import open_run
from gradsound.runs.reader import refuse_norms
from gradsound.synth.kernels.javascript import module
from gradsound.web.host_and_port import Address
from gradsound.web.live_stream import LiveStream
from gradsound.web.on_demand_stream import OnDemandStream
from gradsound.web.server import Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from gradsound.music.captions import Caption
    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.web.listener import Listener

_ENDED = 143  # exit status, as the command line has it


def serve(
    path: Path,
    *,
    layers: Sequence[str] | None,
    norms: Sequence[str] | None,
    preset: Preset,
    speed: float,
    follow: bool,
    port: int | None,
    host: str,
) -> None:
    """Serves a page until Ctrl-C ends it, or what it follows is over.

    Args:
        path: A run file, or a log of another tool; ``-`` for standard input.
        layers: Globs over layers; all if None.
        norms: Globs over the names in such a log, for `gradsound.read_run`.
        preset: How steps sound.
        speed: Times faster.
        follow: Whether steps sound as they come, the same for all who listen. Those that
            are in a file already are seen, not heard, and more are waited for. Otherwise
            everybody hears the run from its beginning.
        port: Which to serve on; the first that is free if None.
        host: The address or name of this machine to be reached by.

    Raises:
        OSError: If the file cannot be read, or the port is taken.
        ValueError: If it is no run, or an argument is outside its range.
        MissingExtraError: If websockets is not installed.
    """
    sounding = at_speed(preset, speed)
    with ExitStack() as stack:
        source = None
        if follow:
            source = stack.enter_context(RunSource(path, norms))
            run = _begun(source)
        elif str(path) == "-":
            refuse_norms("standard input", norms)
            run = kept(stack)
        else:
            run = open_run(path, norms=norms)
        if layers is not None:
            run = run.select(layers)
        address = Address(port, host)
        stack.enter_context(address.listening)
        with suppress(asyncio.CancelledError):
            asyncio.run(_serve(run, sounding, address, source))
            return
        sys.exit(_ENDED)


async def _serve(
    run: Run, preset: Preset, address: Address, source: RunSource | None
) -> None:
    # Ended by the system's word, it must end as a whole: not one of its tasks.
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    with suppress(NotImplementedError, RuntimeError):  # not POSIX, or not the main thread
        loop.add_signal_handler(signal.SIGTERM, task.cancel if task else loop.stop)
    sys.stdout.write(f"{address}\n")  # not before it can be ended as a whole
    sys.stdout.flush()
    attend: Callable[[Listener], Awaitable[None]]
    if source is None:
        finished = OnDemandStream(run, preset)
        programs, attend, work = finished.programs, finished.attend, finished.run()
    else:
        station = LiveStream(run, preset, begin=0 if source.piped else inf, tell=_say)
        conductor = station.broadcast.conductor

        def at_end() -> None:
            if not conductor.begun:
                _say("waiting for the first step")
            source.at_end = conductor.catch_up
            conductor.catch_up()

        source.at_end = at_end
        programs, attend, work = station.programs, station.attend, station.run()
    voices = {"voices.js": module(programs)}
    server = Server(attend, address.token, voices, elsewhere=address.elsewhere)
    await server.serve(address.listening, work)


def _say(line: Caption | str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _begun(source: RunSource) -> Run:
    """The run that is followed, once it begins."""

    def waits() -> None:
        _say(f"waiting for a run to begin in {source.name}")
        source.at_end = lambda: None

    source.at_end = waits
    return source.run(growing=not source.piped)
