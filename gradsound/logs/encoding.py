"""Text encoding of logs: UTF-8, or UTF-16 with a byte order mark, as on Windows."""

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def to_utf_8(head: bytes) -> bytes:
    """Converts the beginning of a file from UTF-16; returns anything else unchanged."""
    if head.startswith(UTF_16_MARKS):
        return head.decode("utf-16", "replace").encode()
    return head


class TextDecoder:
    r"""Decodes the bytes of a text file piece by piece.

    It replaces invalid bytes. \n, \r\n and \r end a line, and become \n.

    Args:
        read: Returns up to some number of bytes; none at the end of what is there.

    Attributes:
        position: How many bytes it has read.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read, self.position = read, 0
        self._decoder: io.IncrementalNewlineDecoder | None = None

    def read(self, size: int) -> str:
        """Returns the text of up to some number of bytes; empty if there are no more."""
        text = ""
        while not text and (data := self._read(size)):
            self.position += len(data)
            if self._decoder is None:
                name = "utf-16" if data.startswith(UTF_16_MARKS) else "utf-8-sig"
                decoder = codecs.getincrementaldecoder(name)("replace")
                self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)
            text = self._decoder.decode(data)
        return text

    def finish(self) -> str:
        """Returns the text of bytes that wait for more of their character."""
        return "" if self._decoder is None else self._decoder.decode(b"", final=True)
