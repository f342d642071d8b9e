"""Reads the records of a log in the format of LevelDB, as W&B and SwanLab write it.

A file is a header of 7 bytes, then blocks of 32 KiB. A block holds pieces of records; each
piece has a checksum (CRC-32 here), and none crosses the end of its block.
https://github.com/google/leveldb/blob/main/doc/log_format.md
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from gradsound.logs.row import ENTRY_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import WaitForMore

HEADER_BYTES = 7  # the mark of the tool, and its version

_BLOCK = 1 << 15  # bytes
_PIECE_HEAD = struct.Struct("<IHB")  # checksum, length, kind
_FULL, _FIRST, _LAST = 1, 2, 4  # kinds; 3 is a piece between first and last
_KIND_CHECKSUMS = [zlib.crc32(bytes([kind])) for kind in range(256)]


def read_records(
    file: BinaryIO, on_damage: OnDamage, wait_for_more: WaitForMore = lambda: False
) -> Iterator[tuple[int, bytes] | None]:
    """Yields position and bytes of each record; leaves out records that are too long.

    After damage the reader goes on with the next block, as LevelDB does. The last block of
    a file that grows is incomplete: what cannot be read in it is no damage until the block
    is complete or the log ends.

    Args:
        file: A file that can seek.
        on_damage: Called with the place of each damage.
        wait_for_more: Called after each None. It returns whether to read on.

    Yields:
        Records; None when all that are there have been read.
    """
    begin, parts, size = 0, list[bytes](), -1  # of the record in progress; size -1: none
    block_begin, at = 0, HEADER_BYTES  # `at` counts from the begin of the block
    while True:
        file.seek(block_begin)
        block = file.read(_BLOCK)
        end = len(block)
        while (body := at + _PIECE_HEAD.size) <= end:
            checksum, length, kind = _PIECE_HEAD.unpack_from(block, at)
            piece = block[body : body + length]
            if len(piece) < length or zlib.crc32(piece, _KIND_CHECKSUMS[kind]) != checksum:
                break
            if kind in (_FULL, _FIRST):
                begin, parts, size = block_begin + at, [], 0
            if size >= 0:
                size += length
                if size <= ENTRY_MAX:
                    parts.append(piece)
                if kind in (_FULL, _LAST):
                    if size <= ENTRY_MAX:
                        yield begin, b"".join(parts)
                    size = -1
            at = body + length
        if end == _BLOCK:
            if body <= end:
                on_damage(f"ends or is damaged at byte {block_begin + at:,}")
                size = -1
            block_begin, at = block_begin + _BLOCK, 0
            continue
        yield None
        if not wait_for_more():
            # Zeros fill the end of a block that has no room for a head.
            is_between_records = at == end or at > _BLOCK - _PIECE_HEAD.size
            if size >= 0 or not is_between_records:
                at = begin if size >= 0 else block_begin + at
                on_damage(f"ends or is damaged at byte {at:,}")
            return
