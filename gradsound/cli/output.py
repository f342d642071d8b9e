"""Output of the commands: lines to standard output, errors to standard error."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO


def escape_unprintable(text: str) -> str:
    r"""Returns the text on one line; line ends and escape codes become ``\n``, ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def print_line(line: str = "") -> None:
    """Prints a line to standard output, without escape codes of the terminal.

    Raises:
        OSError: If standard output takes no text; the error names it.
    """
    print_text(f"{escape_unprintable(line)}\n")


def print_text(text: str) -> None:
    """Prints a text to standard output, unchanged.

    Raises:
        OSError: If standard output takes no text; the error names it.
    """
    with _name_stdout_in_errors():
        sys.stdout.write(text)


def terminal_columns() -> int | None:
    """Returns the width of the terminal on standard output; None for a pipe or a file."""
    if not sys.stdout.isatty():
        return None
    from shutil import get_terminal_size  # only a terminal needs it

    return get_terminal_size().columns


def flush() -> None:
    """Writes the buffer of standard output.

    Raises:
        OSError: If standard output takes no text; the error names it.
    """
    with _name_stdout_in_errors():
        sys.stdout.flush()


def print_error(message: str) -> None:
    """Prints a line to standard error; a closed standard error changes nothing."""
    try:
        sys.stderr.write(f"gradsound: {escape_unprintable(message)}\n")
        sys.stderr.flush()
    except OSError:
        drop_buffer(sys.stderr)


def drop_buffer(stream: TextIO) -> None:
    """Redirects a stream to the null device.

    At exit, Python writes the stream's buffer once more. That write would fail again and
    change the exit status.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _name_stdout_in_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        drop_buffer(sys.stdout)
        raise OSError(error.errno, error.strerror, "standard output") from error
