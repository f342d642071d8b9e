"""The entry point of the command line: runs one command, sets its exit status."""

from __future__ import annotations

import gc
import io
import os
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from gradsound.cli.output import drop_buffer, flush, print_error
from gradsound.cli.termination import exit_on_sigterm
from gradsound.errors import NoDeviceError, error_text, print_warnings_plainly

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

_BLAS_THREADS = "OPENBLAS_NUM_THREADS"  # read when numpy loads OpenBLAS


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
            status = _run(words, keeps_modules=arguments is None)
        sys.exit(status)
    except BrokenPipeError:  # the reader of our output, such as head, closed the pipe
        drop_buffer(sys.stdout)
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(words: Sequence[str], *, keeps_modules: bool) -> int:
    """Runs a command; returns its exit status.

    Args:
        words: The words after ``gradsound``.
        keeps_modules: Whether the process is ours, and keeps all modules until its end.
    """
    _repair_streams()
    print_warnings_plainly()
    # The slow imports come here, so that Ctrl-C prints no traceback.
    from gradsound.cli.parser import build_parser

    try:
        options = build_parser(words).parse_args(words)
        run = _load(options.command)
        if keeps_modules:
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
        parser = build_parser(["run"])
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
        with _one_blas_thread():
            module = import_module(f"gradsound.cli.commands.{command}")
    finally:
        gc.enable()
    run: Callable[[argparse.Namespace], None] = module.run
    return run


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Has numpy, if the block imports it, start no threads for products of matrices.

    OpenBLAS would start one for each processor. The products here are small, and what a
    command starts later has the environment of the user.
    """
    if _BLAS_THREADS in os.environ:
        yield
        return
    os.environ[_BLAS_THREADS] = "1"
    try:
        yield
    finally:
        del os.environ[_BLAS_THREADS]


def _repair_streams() -> None:
    """Opens the streams that a shell has closed; escapes characters they cannot encode."""
    if sys.stdout is None:  # read-only, so that printing raises an error
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
