"""The checksum of TFRecords: CRC-32C, masked; also of many records at once.

CRC is linear: if two messages of one length differ in some bytes, each differing byte flips
bits of the checksum that depend only on the difference and on how many bytes follow.

Shapes: N records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78  # its bits in reverse order
_MASK_SHIFT, _MASK_DELTA = 15, 0xA282EAD8


def _make_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _make_table()
# By how many bytes follow, the flipped bits for each difference of a byte.
_FLIPS = [np.array(_TABLE, np.uint32)]


def crc32c(data: bytes) -> int:
    """Returns the CRC-32C of some bytes."""
    crc, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """Returns the checksum of TFRecord: CRC-32C, rotated by 15 bits, plus a constant."""
    crc = crc32c(data)
    return ((crc >> _MASK_SHIFT | crc << 32 - _MASK_SHIFT) + _MASK_DELTA) & 0xFFFFFFFF


def masked_crc32c_of_changes(
    base: NDArray[np.uint32], changes: NDArray[np.uint8], following: Sequence[int]
) -> NDArray[np.uint32]:
    """Returns the checksums of messages that differ from others in some bytes.

    Args:
        base: The CRC-32C of each other message, shape (N,).
        changes: Of each place that may differ, the exclusive or of both bytes in all
            messages, shape (places, N).
        following: Of each place, how many bytes follow it in the messages.

    Returns:
        Masked checksums, shape (N,).
    """
    while len(_FLIPS) <= max(following):
        last = _FLIPS[-1]
        _FLIPS.append(_FLIPS[0][last & 0xFF] ^ last >> 8)
    crc = base.copy()
    for changed, count in zip(changes, following):
        crc ^= _FLIPS[count][changed]
    crc = crc >> np.uint32(_MASK_SHIFT) | crc << np.uint32(32 - _MASK_SHIFT)
    crc += np.uint32(_MASK_DELTA)
    return crc
