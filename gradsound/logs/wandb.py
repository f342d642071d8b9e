"""Run files of W&B, `run-ID.wandb`: the history in them, record by record.

A file is a log of LevelDB (blocks of 32 KiB, records in pieces with checksums; here CRC-32)
after a header of its own, each record a protocol buffer (wandb_internal.proto).
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING

from gradsound.logs.protobuf import data, fields, text
from gradsound.logs.row import LONGEST, Row, number

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.row import Trouble

PATTERN = "*.wandb"
_MAGIC = b":W&B\xe1\xbe"  # then a byte for the version
_BLOCK = 1 << 15  # bytes
_PIECE = struct.Struct("<IHB")  # checksum, length, kind
_FULL, _FIRST, _LAST = 1, 2, 4  # others are between

# Field numbers.
_HISTORY = 2  # of Record
_ITEM, _STEP = 1, 2  # of HistoryRecord
_KEY, _NESTED, _JSON = 1, 2, 16  # of HistoryItem
_NUM = 1  # of HistoryStep

_decode = json.JSONDecoder(parse_int=float).decode  # which has no limit of digits

# The trainer's own step, where it is logged: W&B's counts the calls of its log().
_STEPS = ("train/global_step", "trainer/global_step", "global_step")
_OWN = {"_step", "_timestamp", "_runtime", *_STEPS}  # about an entry, none of its numbers


def is_wandb(head: bytes) -> bool:
    """Whether a file that begins so is one."""
    return head.startswith(_MAGIC)


def rows(path: Path, trouble: Trouble) -> Iterator[Row]:
    """Yields the entries of the history.

    Raises:
        OSError: If it cannot be read.
    """
    last: float | None = None  # step of the trainer
    with path.open("rb") as file:
        for at, record in _records(file, trouble):
            found = _history(record)
            if found is None:
                trouble(f"has a damaged record at byte {at:,}, left out")
                continue
            for row, trained in found:
                last = last if trained is None else trained
                yield row if last is None else row._replace(step=last)


def _history(record: bytes) -> list[tuple[Row, float | None]] | None:
    """The entries of a record, which has one or none; None if it is damaged."""
    try:
        return [_row(data(value)) for field, value in fields(record) if field == _HISTORY]
    except (ValueError, RecursionError):
        return None


def _row(history: bytes) -> tuple[Row, float | None]:
    """An entry, and the step of the trainer if it tells that."""
    numbers, step = {}, None
    for field, value in fields(history):
        if field == _ITEM:
            name, found = _item(data(value))
            if found is not None:
                numbers[name] = found
        elif field == _STEP:
            step = next((n for f, n in fields(data(value)) if f == _NUM), 0)
    counted = numbers.get("_step", step if isinstance(step, int) else None)
    trained = next((numbers[name] for name in _STEPS if name in numbers), None)
    time = numbers.get("_timestamp")
    # W&B writes them in any order, so none is lost.
    known = {name: numbers[name] for name in sorted(numbers) if name not in _OWN}
    return Row(counted, time, known), trained


def _item(message: bytes) -> tuple[str, float | None]:
    names, found = [], None
    for field, value in fields(message):
        if field in (_KEY, _NESTED):
            names.append(text(value))
        elif field == _JSON and data(value)[:1] not in (b"{", b"["):  # a histogram, a table
            found = number(_decode(text(value)))
    return ".".join(names), found


def _records(file: io.BufferedReader, trouble: Trouble) -> Iterator[tuple[int, bytes]]:
    """Yields where each record begins, and its bytes; one that is too long is left out.

    After damage it goes on with the next block, as LevelDB does.
    """
    at, begin, parts, size = len(_MAGIC) + 1, 0, list[bytes](), -1  # size: none begun
    file.seek(at)
    while True:
        left = _BLOCK - at % _BLOCK
        if left < _PIECE.size:  # too little for a piece: zeros
            at += left
            file.seek(at)
        head = file.read(_PIECE.size)
        if not head:
            return
        whole = len(head) == _PIECE.size
        check, length, kind = _PIECE.unpack(head) if whole else (0, 0, 0)
        piece = file.read(length)
        whole &= len(piece) == length
        if not whole or zlib.crc32(piece, zlib.crc32(head[6:])) != check:
            trouble(f"ends or is damaged at byte {at:,}")
            at, size = (at // _BLOCK + 1) * _BLOCK, -1
            file.seek(at)
            continue
        if kind in (_FULL, _FIRST):
            begin, parts, size = at, [], 0
        if size >= 0:
            size += length
            if size <= LONGEST:
                parts.append(piece)
            if kind in (_FULL, _LAST) and size <= LONGEST:
                yield begin, b"".join(parts)
        at += _PIECE.size + length
