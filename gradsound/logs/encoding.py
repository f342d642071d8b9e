"""Text encoding of logs: UTF-8, or UTF-16 with a byte order mark, as on Windows."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import io
    from pathlib import Path

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def to_utf_8(head: bytes) -> bytes:
    """Converts the beginning of a file from UTF-16; returns anything else unchanged."""
    if head.startswith(_UTF_16_MARKS):
        return head.decode("utf-16", "replace").encode()
    return head


def open_text(path: Path) -> io.TextIOWrapper:
    r"""Opens a text file. Invalid bytes are replaced; \n, \r\n and \r end a line.

    Raises:
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        is_utf_16 = file.read(2) in _UTF_16_MARKS
    return path.open(encoding="utf-16" if is_utf_16 else "utf-8-sig", errors="replace")
