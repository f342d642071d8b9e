"""Takes out of sound files what libsndfile puts there by chance or by the clock.

A float WAV has the time of writing in its PEAK chunk, an Ogg stream a random serial number
that is part of every page's checksum.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import io
    from pathlib import Path

_SERIAL = struct.pack("<I", 0x67726164)  # "grad"; any number is as good
_PEAK_WITHIN = 128  # bytes; the PEAK chunk is in the header, before the samples
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def remove_chance(path: Path) -> None:
    """Rewrites the random bytes of a WAV or Ogg file; leaves others as they are."""
    with path.open("r+b") as file:
        head = file.read(_PEAK_WITHIN)
        peak = head.find(b"PEAK")
        if head.startswith(b"RIFF") and peak > 0:
            file.seek(peak + 12)  # id, size, version, then the time
            file.write(bytes(4))
        elif head.startswith(b"OggS"):
            start = 0
            while page := _read_page(file, start):
                file.seek(start)
                file.write(_with_serial(page))
                start += len(page)


def _read_page(file: io.BufferedRandom, start: int) -> bytes:
    """The Ogg page (RFC 3533) that begins at ``start``; empty at the end."""
    file.seek(start)
    header = file.read(27)
    if len(header) < 27:
        return b""
    lacing = file.read(header[26])
    return header + lacing + file.read(sum(lacing))


def _with_serial(page: bytes) -> bytes:
    page = page[:14] + _SERIAL + page[18:22] + bytes(4) + page[26:]
    return page[:22] + struct.pack("<I", _ogg_crc(page)) + page[26:]


def _ogg_crc(page: bytes) -> int:
    """Ogg's checksum: zlib's polynomial with all bits the other way round, from 0."""
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
