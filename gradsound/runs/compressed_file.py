"""Files that a user compressed by gzip or Zstandard, read as if they were not."""

from __future__ import annotations

import io
import os
import sys
import zlib
from typing import TYPE_CHECKING, Protocol

from gradsound.errors import MissingExtraError, RunFormatError

if TYPE_CHECKING:
    from pathlib import Path

COMPRESSED_SUFFIXES = (".gz", ".zst")
_GZIP, _ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"  # first bytes of the formats
_GZIP_MEMBER = zlib.MAX_WBITS + 16  # zlib's code for a header and a trailer of gzip
_READ_BYTES = 1 << 14  # of the compressed file at a time; a thousand times more come out


def without_compression(path: Path) -> Path:
    """Returns the path of a file before a user compressed it: without .gz or .zst."""
    return path.with_suffix("") if path.suffix in COMPRESSED_SUFFIXES else path


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def is_compressed(path: Path) -> bool:
    """Returns whether a file is compressed, by its first bytes, not by its name.

    Raises:
        OSError: If it cannot be read.
    """
    if not path.is_file():  # to open a pipe would wait
        return False
    with path.open("rb") as file:
        return file.read(len(_ZSTANDARD)).startswith((_GZIP, _ZSTANDARD))


def open_file(path: Path) -> io.BufferedReader:
    """Opens a file to read its text, which may be compressed.

    Raises:
        OSError: If it cannot be read.
        RunFormatError: If the compressed data are damaged. Reading raises it too.
        MissingExtraError: If nothing is installed that reads Zstandard.
    """
    if is_compressed(path):
        return io.BufferedReader(_DecompressedFile(path))
    return path.open("rb")


class _DecompressedFile(io.RawIOBase):
    """The text of a compressed file, which has one or more members.

    A member that a kill cut off has the text up to there.

    Args:
        path: The compressed file.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, path.open("rb")
        self._is_gzip = self._file.read(len(_GZIP)) == _GZIP
        self._rewind()

    def _rewind(self) -> None:
        self._file.seek(0)
        self._decompressor = self._new_decompressor()
        self._text, self._position = memoryview(b""), 0

    def readable(self) -> bool:
        """Returns True, as `io.RawIOBase` asks of a file to read."""
        return True

    def seekable(self) -> bool:
        """Returns True: the file goes back to its start."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Goes to the start, or says where it is.

        Raises:
            io.UnsupportedOperation: If it is to go anywhere else.
        """
        if (offset, whence) == (0, os.SEEK_SET):
            self._rewind()
        elif (offset, whence) != (0, os.SEEK_CUR):
            raise io.UnsupportedOperation
        return self._position

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        """Reads into a buffer and returns the number of bytes; 0 at the end."""
        while not self._text and (data := self._next_data()):
            self._text = memoryview(self._decompress(data))
        count = min(len(buffer), len(self._text))
        buffer[:count], self._text = self._text[:count], self._text[count:]
        self._position += count
        return count

    def _decompress(self, data: bytes) -> bytes:
        try:
            return self._decompressor.decompress(data)
        except Exception as error:  # each library has an error of its own
            message = f"{self._path}: the compressed data are damaged ({error})"
            raise RunFormatError(message) from error

    def _next_data(self) -> bytes:
        """Returns the next compressed bytes; begins with the next member after one."""
        if not self._decompressor.eof:
            return self._file.read(_READ_BYTES)
        data = self._decompressor.unused_data or self._file.read(_READ_BYTES)
        # Tapes and block devices end in zeros, which gzip skips, too.
        data = data.lstrip(b"\0") if self._is_gzip else data
        if data:
            self._decompressor = self._new_decompressor()
        return data

    def _new_decompressor(self) -> _Decompressor:
        if self._is_gzip:
            return zlib.decompressobj(_GZIP_MEMBER)
        return _zstandard_decompressor()

    def close(self) -> None:
        """Closes the compressed file, too."""
        self._file.close()
        super().close()


def _zstandard_decompressor() -> _Decompressor:
    if sys.version_info >= (3, 14):
        from compression import zstd

        return zstd.ZstdDecompressor()
    try:
        import zstandard
    except ImportError as error:
        raise MissingExtraError("zstandard") from error
    return zstandard.ZstdDecompressor().decompressobj()
