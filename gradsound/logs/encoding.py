"""Text of logs: UTF-8, or what begins with the mark of UTF-16, as Windows writes it."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import io
    from pathlib import Path

_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def as_utf_8(head: bytes) -> bytes:
    """The beginning of a file; what is not in UTF-16 is as it was."""
    if head.startswith(_MARKS):
        return head.decode("utf-16", "replace").encode()
    return head


def open_text(path: Path) -> io.TextIOWrapper:
    r"""Opens a file to read; what is no text is replaced, and \r ends a line, too.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        marked = file.read(2) in _MARKS
    return path.open(encoding="utf-16" if marked else "utf-8-sig", errors="replace")
