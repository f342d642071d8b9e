"""Removal of the random bytes and the clock time that libsndfile writes to sound files.

libsndfile writes the time of writing to the PEAK chunk of a float WAV file. It gives an Ogg
stream a random serial number, which is part of the checksum of each page.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import io
    from pathlib import Path

_SERIAL = struct.pack("<I", 0x67726164)  # "grad"; any constant will do
_HEADER_BYTES = 128  # the PEAK chunk is in the header, before the samples
_PAGE_HEADER_BYTES = 27  # of an Ogg page, before its lacing values
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def remove_nondeterminism(path: Path) -> None:
    """Overwrites the random bytes and the time of a WAV or Ogg file with constants.

    It leaves files of other formats as they are.
    """
    with path.open("r+b") as file:
        header = file.read(_HEADER_BYTES)
        peak = header.find(b"PEAK")
        if header.startswith(b"RIFF") and peak > 0:
            file.seek(peak + 12)  # the time follows id, size and version
            file.write(bytes(4))
        elif header.startswith(b"OggS"):
            start = 0
            while page := _read_page(file, start):
                file.seek(start)
                file.write(_with_serial(page))
                start += len(page)


def _read_page(file: io.BufferedRandom, start: int) -> bytes:
    """Returns the Ogg page (RFC 3533) at byte ``start``; nothing at the end."""
    file.seek(start)
    header = file.read(_PAGE_HEADER_BYTES)
    if len(header) < _PAGE_HEADER_BYTES:
        return b""
    lacing = file.read(header[26])
    return header + lacing + file.read(sum(lacing))


def _with_serial(page: bytes) -> bytes:
    page = page[:14] + _SERIAL + page[18:22] + bytes(4) + page[26:]
    return page[:22] + struct.pack("<I", _ogg_crc(page)) + page[26:]


def _ogg_crc(page: bytes) -> int:
    """Returns Ogg's checksum, by zlib's: same polynomial, all bits reversed, start at 0."""
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
