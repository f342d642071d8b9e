"""The entry point of the command line: runs one command, sets its exit status."""

from __future__ import annotations

import gc
import io
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from gradsound.cli.output import drop_buffer, flush, print_error
from gradsound.cli.termination import exit_on_sigterm
from gradsound.errors import NoDeviceError, error_text, print_warnings_plainly

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits: 0 success, 2 bad input, 130 Ctrl-C, 143 SIGTERM.

    A script of ``run`` ends the process as it would under Python.

    Args:
        arguments: The words after ``gradsound``; None takes those of the process.

    Raises:
        SystemExit: Always, except for a script; its code is the exit status.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["run"]:
        _prepare_script(words[1:])()
        return
    try:
        with exit_on_sigterm():
            status = _run(arguments)
        sys.exit(status)
    except BrokenPipeError:  # the reader of our output, such as head, closed the pipe
        drop_buffer(sys.stdout)
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(arguments: Sequence[str] | None) -> int:
    _repair_streams()
    print_warnings_plainly()
    # The slow imports come here, so that Ctrl-C prints no traceback.
    from gradsound.cli.parser import build_parser

    try:
        options = build_parser().parse_args(arguments)
        run = _load(options.command)
        if arguments is None:  # the process is ours, and keeps all modules until its end
            gc.freeze()
        run(options)
        flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError, ImportError, NoDeviceError) as error:
        print_error(error_text(error))
        return 2
    return 0


def _prepare_script(words: Sequence[str]) -> Callable[[], None]:
    """Returns what runs the script of ``run``; exits with 2 if the words are wrong.

    The script has the process to itself: its streams, signals and warnings.
    """
    from gradsound.cli.parser import build_parser
    from gradsound.cli.script_words import split_words

    try:
        parser = build_parser()
        own, script = split_words(parser, "run", words)
        options = parser.parse_args(["run", *own])
        options.script = script
        prepare = import_module("gradsound.cli.commands.run").prepare
        start: Callable[[], None] = prepare(options)
        return start
    except (OSError, ValueError, ImportError, NoDeviceError) as error:
        print_error(error_text(error))
        sys.exit(2)


def _load(command: str) -> Callable[[argparse.Namespace], None]:
    """Returns the function of a command, from the only command's module that is imported.

    Meanwhile, Python looks for no garbage: that takes a tenth of the time and finds none.
    """
    gc.disable()
    try:
        module = import_module(f"gradsound.cli.commands.{command}")
    finally:
        gc.enable()
    run: Callable[[argparse.Namespace], None] = module.run
    return run


def _repair_streams() -> None:
    """Opens the streams that a shell has closed; escapes characters they cannot encode."""
    if sys.stdout is None:  # read-only, so that printing raises an error
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
