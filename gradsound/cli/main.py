"""The command line: one clear line for whatever goes wrong, and a status that says so."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from gradsound.cli.output import complain, finish, give_up
from gradsound.errors import show_plainly

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits: 0 done, 2 bad input, 130 interrupted, 143 ended."""
    try:
        sys.exit(_run(arguments))
    except BrokenPipeError:  # the reader of our output has seen enough
        give_up(sys.stdout)
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(arguments: Sequence[str] | None) -> int:
    _open_streams()
    show_plainly()
    with suppress(ValueError):  # only the main thread may
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clears up, then ends
    # What takes time to load comes last: whoever interrupts it sees no traceback.
    from gradsound.cli.parser import parser
    from gradsound.output.sound_device import NoDeviceError

    try:
        options = parser().parse_args(arguments)
        options.act(options)
        finish()
    except BrokenPipeError:
        raise
    except (OSError, ValueError, ImportError, NoDeviceError) as error:
        complain(_told(error))
        return 2
    return 0


def _open_streams() -> None:
    """Has an end to write to, whatever a shell has closed, and text that it can take."""
    if sys.stdout is None:  # so that it is an error to print, not to have nothing printed
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    for stream in (sys.stdout, sys.stderr):  # a name may have what a terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        named = error.filename is not None
        return f"{error.filename}: {error.strerror}" if named else error.strerror
    return str(error)
