"""Finds the records of a file of TFRecords, which may grow.

A record is length, its checksum, data, and their checksum.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradsound.logs.tensorboard.crc32c import masked_crc32c

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.row import OnDamage

HEAD_BYTES, TAIL_BYTES = 12, 4  # of a record, before and after its data

_HEAD = struct.Struct("<QI")
_LENGTH_BYTES = 8  # of the head, which their checksum follows
_RECORD_MAX = 1 << 20  # bytes of data; scalars are shorter, a longer record is an image
_PIECE = 3 << 18  # bytes per read; more takes memory, and hardly less time
_HEADS_MAX = 4096  # heads that are known; histograms have any length


@dataclass(frozen=True, slots=True, eq=False)
class RecordPiece:
    """A piece of a file, and the whole records in it.

    Attributes:
        data: The bytes.
        at: The byte of the file where the piece begins.
        begins: Where the records begin in the piece.
        sizes: How many bytes each record has, with head and tail.
    """

    data: bytes
    at: int
    begins: list[int]
    sizes: list[int]


class RecordFile:
    """A file of TFRecords; leaves out records of more than 1 MiB, without loading them.

    Args:
        path: The file.
        on_damage: Called with a few words when the file is damaged.
    """

    def __init__(self, path: Path, on_damage: OnDamage) -> None:
        self._path, self._on_damage = path, on_damage
        self._at, self._size = 0, 0  # bytes read so far, and of the file
        self._is_damaged = False  # there, no further record can be found
        self._sizes: dict[bytes, int] = {}  # of records, by their heads

    def read(self) -> Iterator[RecordPiece]:
        """Yields the records that are there, and were not read before.

        Raises:
            OSError: If the file cannot be read.
        """
        if self._is_damaged or self._path.stat().st_size <= self._at:
            return
        with self._path.open("rb") as file:
            self._size = os.fstat(file.fileno()).st_size
            size = _PIECE
            while not self._is_damaged and self._at < self._size:
                file.seek(self._at)
                data = file.read(size)
                begins, sizes, passed = self._find_records(data)
                at, self._at = self._at, self._at + passed
                if begins:
                    yield RecordPiece(data, at, begins, sizes)
                if not passed and size != _PIECE:
                    break
                size = _PIECE if passed else HEAD_BYTES + _RECORD_MAX + TAIL_BYTES
        if self._is_damaged:
            self._report_end()

    def end(self) -> None:
        """Reports a last record that was not written whole."""
        if not self._is_damaged and self._at < self._size:
            self._report_end()

    def _report_end(self) -> None:
        self._on_damage(
            f"{self._path.name} ends or is damaged at byte {self._at:,} of {self._size:,}"
        )

    def _find_records(self, data: bytes) -> tuple[list[int], list[int], int]:
        """Returns begins and sizes of the whole records in some bytes, and their end."""
        begins, sizes, at = list[int](), list[int](), 0
        known, size_of_data = self._sizes, len(data)
        while True:
            head = data[at : at + HEAD_BYTES]
            size = known.get(head)
            if size is None:
                if len(head) < HEAD_BYTES:
                    break
                length, checksum = _HEAD.unpack(head)
                if masked_crc32c(head[:_LENGTH_BYTES]) != checksum:
                    self._is_damaged = True
                    break
                size = length + HEAD_BYTES + TAIL_BYTES
                if length > _RECORD_MAX:
                    if self._at + at + size > self._size:
                        break
                    at += size
                    continue
                if len(known) >= _HEADS_MAX:
                    known.clear()
                known[head] = size
            if at + size > size_of_data:
                break
            begins.append(at)
            sizes.append(size)
            at += size
        return begins, sizes, at


def is_record_file(head: bytes) -> bool:
    """Returns whether a file with this beginning has a first length with its checksum."""
    if len(head) < HEAD_BYTES:
        return False
    length, checksum = _HEAD.unpack_from(head)
    return (
        0 < int(length) <= _RECORD_MAX and masked_crc32c(head[:_LENGTH_BYTES]) == checksum
    )


def has_checksum(record: bytes) -> bool:
    """Returns whether a record without its head has the checksum of its data."""
    checksum = int.from_bytes(record[-TAIL_BYTES:], "little")
    return masked_crc32c(record[:-TAIL_BYTES]) == checksum
