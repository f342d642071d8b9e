"""Reads the history in run files of W&B, `run-ID.wandb`, record by record.

A file is a header and a LevelDB log: blocks of 32 KiB, with records in pieces that have
checksums (CRC-32 here). Each record is a protocol buffer (wandb_internal.proto).
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING

from gradsound.logs.protobuf import read_fields, to_bytes, to_text
from gradsound.logs.row import ENTRY_MAX, Row, parse_number

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.row import OnDamage

FILE_PATTERN = "*.wandb"

_MAGIC = b":W&B\xe1\xbe"  # then one byte, the version
_BLOCK = 1 << 15  # bytes, as LevelDB has it
_PIECE_HEAD = struct.Struct("<IHB")  # checksum, length, kind
_FULL, _FIRST, _LAST = 1, 2, 4  # kinds; 3 is a piece between first and last

# Field numbers.
_HISTORY = 2  # of Record
_ITEM, _STEP = 1, 2  # of HistoryRecord
_KEY, _NESTED, _JSON = 1, 2, 16  # of HistoryItem
_NUM = 1  # of HistoryStep

_decode_json = json.JSONDecoder(parse_int=float).decode  # int refuses 4,300 digits

# W&B's own step counts calls of its log(), so the step of the trainer wins.
_TRAINER_STEPS = ("train/global_step", "trainer/global_step", "global_step")
_NO_VALUES = {"_step", "_timestamp", "_runtime", *_TRAINER_STEPS}


def is_wandb(head: bytes) -> bool:
    """Returns whether a file with this beginning is a run file of W&B."""
    return head.startswith(_MAGIC)


def read_rows(path: Path, on_damage: OnDamage) -> Iterator[Row]:
    """Yields the entries of the history.

    Raises:
        OSError: If the file cannot be read.
    """
    last: float | None = None  # step of the trainer, for entries that lack it
    with path.open("rb") as file:
        for at, record in _read_records(file, on_damage):
            entries = _parse_history(record)
            if entries is None:
                on_damage(f"has a damaged record at byte {at:,}, left out")
                continue
            for row, trainer_step in entries:
                last = last if trainer_step is None else trainer_step
                yield row if last is None else row._replace(step=last)


def _parse_history(record: bytes) -> list[tuple[Row, float | None]] | None:
    """Returns the entries of a record, one or none; None if the record is damaged."""
    try:
        return [
            _parse_entry(to_bytes(value))
            for field, value in read_fields(record)
            if field == _HISTORY
        ]
    except (ValueError, RecursionError):
        return None


def _parse_entry(history: bytes) -> tuple[Row, float | None]:
    """Returns an entry, and the step of the trainer if the entry has it."""
    numbers, step = {}, None
    for field, value in read_fields(history):
        if field == _ITEM:
            name, number = _parse_item(to_bytes(value))
            if number is not None:
                numbers[name] = number
        elif field == _STEP:
            step = next((n for f, n in read_fields(to_bytes(value)) if f == _NUM), 0)
    own_step = numbers.get("_step", step if isinstance(step, int) else None)
    trainer_step = next((numbers[name] for name in _TRAINER_STEPS if name in numbers), None)
    time = numbers.get("_timestamp")
    # W&B writes the names in any order, so sorting loses nothing.
    values = {name: numbers[name] for name in sorted(numbers) if name not in _NO_VALUES}
    return Row(own_step, time, values), trainer_step


def _parse_item(message: bytes) -> tuple[str, float | None]:
    """Returns name and number of an item; None for a histogram, a table or a text."""
    names, number = [], None
    for field, value in read_fields(message):
        if field in (_KEY, _NESTED):
            names.append(to_text(value))
        elif field == _JSON and to_bytes(value)[:1] not in (b"{", b"["):
            number = parse_number(_decode_json(to_text(value)))
    return ".".join(names), number


def _read_records(
    file: io.BufferedReader, on_damage: OnDamage
) -> Iterator[tuple[int, bytes]]:
    """Yields position and bytes of each record; leaves out records that are too long.

    After damage the reader goes on with the next block, as LevelDB does.
    """
    at, begin, parts = len(_MAGIC) + 1, 0, list[bytes]()
    size = -1  # bytes of the record in progress; -1 if there is none
    file.seek(at)
    while True:
        left = _BLOCK - at % _BLOCK
        if left < _PIECE_HEAD.size:  # a block without room for a head ends in zeros
            at += left
            file.seek(at)
        head = file.read(_PIECE_HEAD.size)
        if not head:
            return
        whole = len(head) == _PIECE_HEAD.size
        checksum, length, kind = _PIECE_HEAD.unpack(head) if whole else (0, 0, 0)
        piece = file.read(length)
        whole &= len(piece) == length
        if not whole or zlib.crc32(piece, zlib.crc32(head[6:])) != checksum:
            on_damage(f"ends or is damaged at byte {at:,}")
            at, size = (at // _BLOCK + 1) * _BLOCK, -1
            file.seek(at)
            continue
        if kind in (_FULL, _FIRST):
            begin, parts, size = at, [], 0
        if size >= 0:
            size += length
            if size <= ENTRY_MAX:
                parts.append(piece)
            if kind in (_FULL, _LAST) and size <= ENTRY_MAX:
                yield begin, b"".join(parts)
        at += _PIECE_HEAD.size + length
