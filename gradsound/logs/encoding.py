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


class BytesDecoder:
    r"""Decodes the bytes of a text piece by piece.

    It replaces invalid bytes. \n, \r\n and \r end a line, and become \n.
    """

    def __init__(self) -> None:
        self._decoder: io.IncrementalNewlineDecoder | None = None
        self._begin = b""  # the first byte alone does not tell the encoding

    def decode(self, data: bytes) -> str:
        """Returns the text of the next bytes; the last character may wait for more."""
        if self._decoder is None:
            self._begin += data
            if len(self._begin) < len(codecs.BOM_UTF16_LE):
                return ""
            data, self._begin = self._begin, b""
            name = "utf-16" if data.startswith(UTF_16_MARKS) else "utf-8-sig"
            decoder = codecs.getincrementaldecoder(name)("replace")
            self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)
        return self._decoder.decode(data)

    def finish(self) -> str:
        """Returns the text of bytes that wait for more of their character."""
        if self._decoder is None:
            return self._begin.decode("utf-8", "replace")
        return self._decoder.decode(b"", final=True)


class TextDecoder:
    """Decodes the bytes of a text file piece by piece, as `BytesDecoder` does.

    Args:
        read: Returns up to some number of bytes; none at the end of what is there.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read, self._decoder = read, BytesDecoder()

    def read(self, size: int) -> str:
        """Returns the text of up to some number of bytes; empty if there are no more."""
        text = ""
        while not text and (data := self._read(size)):
            text = self._decoder.decode(data)
        return text

    def finish(self) -> str:
        """Returns the text of bytes that wait for more of their character."""
        return self._decoder.finish()
