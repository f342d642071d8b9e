"""Text files that other programs read: UTF-8, complete before they have their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.output.atomic_file import atomic_file

if TYPE_CHECKING:
    from pathlib import Path


def as_utf8(text: str) -> str:
    r"""Returns a text that UTF-8 can hold, with half characters as ``\udcff``.

    A name of a file need not be UTF-8, and a name in a run may be half a character.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(text: str) -> str:
    r"""Returns a text as UTF-8 in one line, without tabs, and without NUL, an end in C.

    Example:
        >>> one_line("a\tb\n")
        'a b'
    """
    return as_utf8(" ".join(text.replace("\0", " ").split()))


def timestamp(seconds: float) -> str:
    """Returns a time as 00:01:02.345."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minute = divmod(minutes, 60)
    second, millisecond = divmod(milliseconds, 1000)
    return f"{hours:02}:{minute:02}:{second:02}.{millisecond:03}"


def write_text(path: Path, text: str) -> None:
    r"""Writes a text with line ends of ``\n``; it replaces an existing file when complete.

    Raises:
        OSError: If the file cannot be written.
    """
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
