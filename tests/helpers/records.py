"""Encodes protocol buffers, and records in the log format of LevelDB."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_BLOCK, _HEAD = 1 << 15, struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = range(1, 5)  # kinds of pieces


def varint(number: int) -> bytes:
    """Encodes a number of a protocol buffer."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def field(number: int, value: int | float | str | bytes) -> bytes:
    """Encodes a field: an int as a varint, a float as fixed64, others as bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def leveldb_file(header: bytes, records: Iterable[bytes]) -> bytes:
    """Returns a file of blocks of 32 KiB, in which records are cut into pieces."""
    data = bytearray(header)
    for record in records:
        rest, kind = record, _WHOLE
        while rest or kind == _WHOLE:
            space = _BLOCK - len(data) % _BLOCK
            if space < _HEAD.size:
                data += bytes(space)
                continue
            piece, rest = rest[: space - _HEAD.size], rest[space - _HEAD.size :]
            if rest:
                kind = _FIRST if kind == _WHOLE else _MIDDLE
            elif kind != _WHOLE:
                kind = _LAST
            check = zlib.crc32(piece, zlib.crc32(bytes([kind])))
            data += _HEAD.pack(check, len(piece), kind) + piece
            if not rest:
                break
    return bytes(data)
