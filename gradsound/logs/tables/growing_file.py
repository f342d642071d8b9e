"""A file that is read while another process appends to it, or writes it anew."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_COMPARED = 4096  # bytes at the begin, and before the position


class GrowingFile:
    """A binary file, with what tells whether it is still the file that was read.

    Args:
        path: The file.

    Attributes:
        file: The opened file.

    Raises:
        OSError: From every method, if the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.file = path, path.open("rb")
        self._begin, self._last = b"", b""

    def __enter__(self) -> GrowingFile:
        """Returns the file itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the file."""
        self.file.close()

    def read(self, size: int) -> bytes:
        """Returns up to some number of bytes; none at the end of what is there."""
        data = self.file.read(size)
        if len(self._begin) < _COMPARED:
            self._begin = (self._begin + data)[:_COMPARED]
        self._last = data[-_COMPARED:] if len(data) >= _COMPARED else self._last + data
        self._last = self._last[-_COMPARED:]
        return data

    def is_rewritten(self) -> bool:
        """Returns whether the path has another file now, or the file other content."""
        try:
            now = self._path.stat()
        except FileNotFoundError:  # between two files
            return False
        own, end = os.fstat(self.file.fileno()), self.file.tell()
        if not os.path.samestat(now, own):
            return True
        self.file.seek(0)
        begin = self.file.read(len(self._begin))
        self.file.seek(end - len(self._last))
        last = self.file.read(len(self._last))
        self.file.seek(end)
        return begin != self._begin or last != self._last
