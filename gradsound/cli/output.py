"""Printing: lines as they are, but for what a terminal would take for a command."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO


def printable(text: str) -> str:
    """Text on one line; names may have ends of lines in them, or escape codes."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def say(line: str = "") -> None:
    """Prints a line.

    Raises:
        OSError: If it cannot be written.
    """
    write(f"{printable(line)}\n")


def write(text: str) -> None:
    """Prints text as it is.

    Raises:
        OSError: If it cannot be written.
    """
    with _named():
        sys.stdout.write(text)


def finish() -> None:
    """Has everything written that was printed.

    Raises:
        OSError: If it cannot be.
    """
    with _named():
        sys.stdout.flush()


def complain(message: str) -> None:
    """Prints a line on standard error, if anybody can read it."""
    try:
        sys.stderr.write(f"gradsound: {printable(message)}\n")
        sys.stderr.flush()
    except OSError:
        give_up(sys.stderr)


def give_up(stream: TextIO) -> None:
    """Drops what was printed and not written, which Python would try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        give_up(sys.stdout)
        raise OSError(error.errno, error.strerror, "standard output") from error
