"""Reads the scalars in run files of SwanLab, `run-ID.swanlab`, record by record.

A file is a header and a log in the format of LevelDB. Each record is a protocol buffer
(swanlab/proto/record/v1); before release 0.8 a record is a line of JSON.
"""

from __future__ import annotations

import re
import struct
from datetime import datetime
from typing import TYPE_CHECKING

from gradsound.logs.entries import make_scalars
from gradsound.logs.json_decoder import decode_json
from gradsound.logs.leveldb_log import read_records
from gradsound.logs.numbers import parse_number
from gradsound.logs.protobuf import read_fields, to_bytes, to_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.entries import Entry
    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore

TOOL = "SwanLab"
FILE_PATTERN = "*.swanlab"

_MAGIC = b":SWL\xd6\xe1"  # then one byte, the version
_ENTRIES = 1 << 14  # that become one piece
_SYSTEM = "__swanlab__"  # begins the names of measurements of the machine

# Field numbers.
_SCALAR = 13  # of Record
_KEY, _STEP, _TIME, _VALUE = 1, 2, 4, 5  # of ScalarRecord
_SECONDS, _NANOSECONDS = 1, 2  # of Timestamp
_NUMBER = 1  # of ScalarValue
_DOUBLE = struct.Struct("<d")

# A record as SwanLab writes it: its number and time; name, step, type, time and value of a
# scalar. Regular expressions find these five times as fast as a decoder of any message.
_VARINT = rb"[\x80-\xff]*[\0-\x7f]"
_TIMESTAMP = rb"[\0-\x7f](?:\x08(%s))?(?:\x10(%s))?" % (_VARINT, _VARINT)
_USUAL_HEAD = re.compile(
    rb"\x08%s\x12%s\x6a%s\x0a([\0-\x7f])"
    % (_VARINT, _TIMESTAMP.replace(b"(%s)" % _VARINT, _VARINT), _VARINT)
)
_USUAL_REST = re.compile(
    rb"(?:\x10(%s))?\x18\x01\x22%s\x2a[\0-\x7f](?:\x09(.{8}))?" % (_VARINT, _TIMESTAMP),
    re.DOTALL,
)


def is_swanlab(head: bytes) -> bool:
    """Returns whether a file with this beginning is a run file of SwanLab."""
    return head.startswith(_MAGIC)


def read(
    path: Path, on_damage: OnDamage, wait_for_more: WaitForMore = lambda: False
) -> Iterator[Scalars | None]:
    """Yields the scalars of a log; `scalars` says how.

    Raises:
        OSError: If the log cannot be read.
    """
    entries: list[Entry] = []
    with path.open("rb") as file:
        for found in read_records(file, on_damage, wait_for_more):
            if found is not None:
                at, record = found
                try:
                    entry = _parse_usual(record) or _parse_record(record)
                except (ValueError, TypeError, KeyError, struct.error):
                    on_damage(f"has a damaged record at byte {at:,}, left out")
                    continue
                if entry is not None and not entry[0].startswith(_SYSTEM):
                    entries.append(entry)
            if entries and (found is None or len(entries) >= _ENTRIES):
                yield make_scalars(entries, on_damage)
                entries = []
            if found is None:
                yield None


def _parse_record(record: bytes) -> Entry | None:
    """Returns the scalar of a record; None if it holds something else."""
    if record.startswith(b"{"):
        return _parse_line(record)
    for field, value in read_fields(record):
        if field == _SCALAR:
            return _parse_scalar(to_bytes(value))
    return None


def _parse_usual(record: bytes) -> Entry | None:
    """Parses a record that has the usual fields in their order; None for any other."""
    head = _USUAL_HEAD.match(record)
    if head is None:
        return None
    end = head.end() + head[1][0]
    rest = _USUAL_REST.fullmatch(record, end)
    if rest is None:
        return None
    step, seconds, nanoseconds, number = rest.groups()
    return (
        record[head.end() : end].decode("utf-8", "replace"),
        _decode_varint(step),
        _decode_varint(seconds) + _decode_varint(nanoseconds) * 1e-9,
        _DOUBLE.unpack(number)[0] if number else 0.0,
    )


def _decode_varint(data: bytes | None) -> float:
    number = 0
    for byte in reversed(data or b""):
        number = number << 7 | byte & 0x7F
    return float(number)


def _parse_scalar(message: bytes) -> Entry:
    # A protocol buffer leaves out the numbers that are 0.
    name, step, time, number = "", 0.0, None, 0.0
    for field, value in read_fields(message):
        if field == _KEY:
            name = to_text(value)
        elif field == _STEP and isinstance(value, int):
            step = float(value)
        elif field == _TIME:
            parts = dict(read_fields(to_bytes(value)))
            time = int(parts.get(_SECONDS, 0)) + int(parts.get(_NANOSECONDS, 0)) * 1e-9
        elif field == _VALUE:
            for inner_field, inner_value in read_fields(to_bytes(value)):
                if inner_field == _NUMBER:
                    (number,) = _DOUBLE.unpack(to_bytes(inner_value))
    return name, step, time, number


def _parse_line(line: bytes) -> Entry | None:
    record = decode_json(line)
    if record["model_type"] != "Scalar":
        return None
    data = record["data"]
    metric = data["metric"]
    time = datetime.fromisoformat(metric["create_time"]).timestamp()
    return str(data["key"]), parse_number(data["step"]), time, metric["data"]
