"""Event files of TensorBoard: the scalars in them, record by record.

A file is records of TFRecord (length, its checksum, data, its checksum), each an Event as a
protocol buffer (tensorflow/core/util/event.proto, framework/summary.proto). Anything but
scalars is passed over, unread if it is long.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from gradsound.logs.protobuf import data, fields, text
from gradsound.logs.row import Row

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.row import Trouble

PATTERN = "*tfevents*"
_HEAD, _CHECK = struct.Struct("<QI"), struct.Struct("<I")
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")
_LONGEST = 1 << 20  # bytes; a record of scalars is shorter, an image may be longer

# Field numbers.
_WALL_TIME, _STEP, _SUMMARY = 1, 2, 5  # of Event
_VALUE = 1  # of Summary
_TAG, _SIMPLE, _TENSOR = 1, 2, 8  # of Summary.Value
_DTYPE, _CONTENT, _FLOATS, _DOUBLES = 1, 4, 5, 6  # of TensorProto
_DTYPES = {1: _FLOAT, 2: _DOUBLE}


def is_events(head: bytes) -> bool:
    """Whether a file that begins so is one: its first length has the right checksum."""
    if len(head) < _HEAD.size:
        return False
    length, check = _HEAD.unpack_from(head)
    return 0 < int(length) <= _LONGEST and _masked(head[:8]) == check


def rows(path: Path, trouble: Trouble) -> Iterator[Row]:
    """Yields the scalars of one file, or of those in a folder in the order of their names.

    Names begin with the time when the file was made, so of a training that was resumed the
    later comes last.

    Raises:
        OSError: If one cannot be read.
    """
    for file in sorted(path.glob(PATTERN)) if path.is_dir() else [path]:
        with file.open("rb") as opened:
            yield from _rows(opened, file.name, trouble)
    for file in sorted(path.glob(f"*/{PATTERN}")) if path.is_dir() else []:
        with file.open("rb") as opened:
            yield from _added(_rows(opened, file.name, trouble), file.parent.name)


def _added(rows: Iterator[Row], folder: str) -> Iterator[Row]:
    """What `SummaryWriter.add_scalars` wrote: each of its names has a folder, TAG_NAME.

    Of a folder that is something else, such as another run, nothing.
    """
    for row in rows:
        ((tag, scalar),) = row.numbers.items() if len(row.numbers) == 1 else (("", 0.0),)
        name = folder.removeprefix(tag.replace("/", "_") + "_")
        if not tag or name == folder:
            return
        yield row._replace(numbers={f"{tag}/{name}": scalar})


def _rows(file: io.BufferedReader, name: str, trouble: Trouble) -> Iterator[Row]:
    at, size = 0, os.fstat(file.fileno()).st_size
    while head := file.read(_HEAD.size):
        length, check = _HEAD.unpack(head.ljust(_HEAD.size, b"\0"))
        whole = _HEAD.size + length + _CHECK.size
        if len(head) < _HEAD.size or _masked(head[:8]) != check or at + whole > size:
            trouble(f"{name} ends or is damaged at byte {at:,} of {size:,}")
            return
        if length > _LONGEST:
            file.seek(length + _CHECK.size, os.SEEK_CUR)
        else:
            record = file.read(length + _CHECK.size)
            try:
                row = _event(record[:length])
                if row is not None:
                    if _CHECK.unpack_from(record, length)[0] != _masked(record[:length]):
                        raise ValueError("wrong checksum")
                    yield row
            except (ValueError, struct.error):
                trouble(f"{name} has a damaged record at byte {at:,}, left out")
        at += whole


def _event(record: bytes) -> Row | None:
    """The scalars of an event; None if it has none."""
    time, step, numbers = None, 0, {}
    for field, value in fields(record):
        if field == _SUMMARY:
            for inner, part in fields(data(value)):
                if inner == _VALUE:
                    tag, scalar = _scalar(data(part))
                    if scalar is not None:
                        numbers[tag] = scalar
        elif field == _STEP and isinstance(value, int):
            step = value
        elif field == _WALL_TIME:
            time = _DOUBLE.unpack(data(value))[0]
    return Row(step, time, numbers) if numbers else None


def _scalar(message: bytes) -> tuple[str, float | None]:
    tag, scalar = "", None
    for field, value in fields(message):
        if field == _TAG:
            tag = text(value)
        elif field == _SIMPLE:
            scalar = _FLOAT.unpack(data(value))[0]
        elif field == _TENSOR:
            scalar = _of_tensor(data(value))
    return tag, scalar


def _of_tensor(message: bytes) -> float | None:
    """The one number of a tensor, as TensorFlow 2 writes scalars; None if it is another."""
    kind, found = None, b""
    for field, value in fields(message):
        if field == _DTYPE and isinstance(value, int):
            kind = _DTYPES.get(value)
        elif field in (_CONTENT, _FLOATS, _DOUBLES):
            found += data(value)
    if kind is None or len(found) != kind.size:
        return None
    number: float = kind.unpack(found)[0]
    return number


def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _table()


def _masked(some: bytes) -> int:
    """The checksum of TFRecord: CRC-32C, rotated and shifted."""
    crc, table = 0xFFFFFFFF, _TABLE
    for byte in some:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
