"""Reads the scalars in event files of TensorBoard, record by record.

A file is a sequence of TFRecords (length, its checksum, data, its checksum). Each holds an
Event as a protocol buffer (tensorflow/core/util/event.proto, framework/summary.proto). The
reader skips everything but scalars, and does not even load long records.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from gradsound.logs.protobuf import read_fields, to_bytes, to_text
from gradsound.logs.row import Row

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.row import OnDamage

FILE_PATTERN = "*tfevents*"

_RECORD_HEAD, _CHECKSUM = struct.Struct("<QI"), struct.Struct("<I")
_LENGTH_BYTES = 8  # of the record's head, which their checksum follows
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")
_RECORD_MAX = 1 << 20  # bytes; scalars are shorter, a longer record is an image

# Field numbers.
_WALL_TIME, _STEP, _SUMMARY = 1, 2, 5  # of Event
_VALUE = 1  # of Summary
_TAG, _SIMPLE, _TENSOR = 1, 2, 8  # of Summary.Value
_DTYPE, _CONTENT, _FLOATS, _DOUBLES = 1, 4, 5, 6  # of TensorProto
_DTYPES = {1: _FLOAT, 2: _DOUBLE}


def is_event_file(head: bytes) -> bool:
    """Returns whether a file with this beginning has a first length with its checksum."""
    if len(head) < _RECORD_HEAD.size:
        return False
    length, checksum = _RECORD_HEAD.unpack_from(head)
    return (
        0 < int(length) <= _RECORD_MAX and masked_crc32c(head[:_LENGTH_BYTES]) == checksum
    )


def read_rows(path: Path, on_damage: OnDamage) -> Iterator[Row]:
    """Yields the scalars of one file, or of the files in a folder in the order of names.

    A name begins with the time when the file was made. So the file of a resumed training
    comes last, and its scalars count.

    Raises:
        OSError: If a file cannot be read.
    """
    for file in sorted(path.glob(FILE_PATTERN)) if path.is_dir() else [path]:
        with file.open("rb") as opened:
            yield from _read_file(opened, file.name, on_damage)
    for file in sorted(path.glob(f"*/{FILE_PATTERN}")) if path.is_dir() else []:
        with file.open("rb") as opened:
            rows = _read_file(opened, file.name, on_damage)
            yield from _rename_added_scalars(rows, file.parent.name)


def _rename_added_scalars(rows: Iterator[Row], folder: str) -> Iterator[Row]:
    """Yields scalars of `SummaryWriter.add_scalars`, which makes a folder TAG_NAME a name.

    Yields nothing of any other folder, which may be another run.
    """
    for row in rows:
        ((tag, scalar),) = row.values.items() if len(row.values) == 1 else (("", 0.0),)
        name = folder.removeprefix(tag.replace("/", "_") + "_")
        if not tag or name == folder:
            return
        yield row._replace(values={f"{tag}/{name}": scalar})


def _read_file(file: io.BufferedReader, name: str, on_damage: OnDamage) -> Iterator[Row]:
    at, size = 0, os.fstat(file.fileno()).st_size
    while head := file.read(_RECORD_HEAD.size):
        length, checksum = _RECORD_HEAD.unpack(head.ljust(_RECORD_HEAD.size, b"\0"))
        record_size = _RECORD_HEAD.size + length + _CHECKSUM.size
        if (
            len(head) < _RECORD_HEAD.size
            or masked_crc32c(head[:_LENGTH_BYTES]) != checksum
            or at + record_size > size
        ):
            on_damage(f"{name} ends or is damaged at byte {at:,} of {size:,}")
            return
        if length > _RECORD_MAX:
            file.seek(length + _CHECKSUM.size, os.SEEK_CUR)
        else:
            record = file.read(length + _CHECKSUM.size)
            try:
                row = _parse_event(record[:length])
                if row is not None:
                    # Only now, because the checksum takes longer than the rest.
                    if _CHECKSUM.unpack_from(record, length)[0] != masked_crc32c(
                        record[:length]
                    ):
                        raise ValueError("wrong checksum")
                    yield row
            except (ValueError, struct.error):
                on_damage(f"{name} has a damaged record at byte {at:,}, left out")
        at += record_size


def _parse_event(event: bytes) -> Row | None:
    """Returns the scalars of an Event; None if it has none."""
    time, step, values = None, 0, {}
    for field, value in read_fields(event):
        if field == _SUMMARY:
            for inner_field, inner_value in read_fields(to_bytes(value)):
                if inner_field == _VALUE:
                    tag, scalar = _parse_summary_value(to_bytes(inner_value))
                    if scalar is not None:
                        values[tag] = scalar
        elif field == _STEP and isinstance(value, int):
            step = value
        elif field == _WALL_TIME:
            time = _DOUBLE.unpack(to_bytes(value))[0]
    return Row(step, time, values) if values else None


def _parse_summary_value(message: bytes) -> tuple[str, float | None]:
    """Returns tag and scalar of a Summary.Value; None for another kind of value."""
    tag, scalar = "", None
    for field, value in read_fields(message):
        if field == _TAG:
            tag = to_text(value)
        elif field == _SIMPLE:
            scalar = _FLOAT.unpack(to_bytes(value))[0]
        elif field == _TENSOR:
            scalar = _parse_tensor(to_bytes(value))
    return tag, scalar


def _parse_tensor(message: bytes) -> float | None:
    """Returns a tensor of one number, TensorFlow 2's form of a scalar; None for others."""
    dtype, content = None, b""
    for field, value in read_fields(message):
        if field == _DTYPE and isinstance(value, int):
            dtype = _DTYPES.get(value)
        elif field in (_CONTENT, _FLOATS, _DOUBLES):
            content += to_bytes(value)
    if dtype is None or len(content) != dtype.size:
        return None
    number: float = dtype.unpack(content)[0]
    return number


def _make_crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_CRC_TABLE = _make_crc_table()


def masked_crc32c(data: bytes) -> int:
    """Returns the checksum of TFRecord: CRC-32C, rotated by 15 bits, plus a constant."""
    crc, table = 0xFFFFFFFF, _CRC_TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
