"""Encodes event files of TensorBoard."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from helpers.records import field, varint

from gradsound.logs.tensorboard.crc32c import masked_crc32c

if TYPE_CHECKING:
    from collections.abc import Iterable

START = field(1, 1)  # a session of the status START


def tfrecord(data: bytes) -> bytes:
    """Returns a record: length, its checksum, data, their checksum."""
    length = struct.pack("<Q", len(data))
    checks = [struct.pack("<I", masked_crc32c(part)) for part in (length, data)]
    return length + checks[0] + data + checks[1]


def simple(tag: str, value: float) -> bytes:
    """Returns a value as torch writes it."""
    return field(1, tag) + varint(2 << 3 | 5) + struct.pack("<f", value)


def event(step: int, values: Iterable[bytes] = (), time: float = 1.7e9) -> bytes:
    """Returns an event with values; it has no step 0, as proto3 leaves it out."""
    parts = [field(1, time), field(2, step) if step else b""]
    summary = b"".join(field(1, value) for value in values)
    return b"".join([*parts, field(5, summary) if summary else b""])


def restart(step: int) -> bytes:
    """Returns the event of `SummaryWriter(purge_step=step)`."""
    return field(1, 1.7e9) + field(2, step) + field(7, START)


def event_file(events: Iterable[bytes]) -> bytes:
    """Returns a file with the version that all writers write first, and events."""
    version = field(1, 1.7e9) + field(3, "brain.Event:2")
    return b"".join(map(tfrecord, (version, *events)))
