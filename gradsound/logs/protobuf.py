"""The encoding of protocol buffers, as far as reading takes it.

https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIZES = {1: 8, 5: 4}  # bytes, of fixed64 and fixed32
_VARINT, _BYTES = 0, 2


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yields the fields of a message: numbers and values.

    A varint is a whole number of 0 or more (of a negative one, 2**64 more); anything else
    is its bytes.

    Raises:
        ValueError: If these bytes are no message.
    """
    at, end = 0, len(message)
    while at < end:
        key = message[at]
        if key < 0x80:  # nearly always, so no call
            at += 1
        else:
            key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            number, at = _varint(message, at)
            yield key >> 3, number
            continue
        if kind == _BYTES:
            size = message[at] if at < end else 0x80
            if size < 0x80:
                at += 1
            else:
                size, at = _varint(message, at)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise ValueError(f"no message: there is no wire type {kind}")
        if size > end - at:
            raise ValueError("no message: it ends within a field")
        yield key >> 3, message[at : at + size]
        at += size


def text(value: int | bytes) -> str:
    """A field that is text.

    Raises:
        ValueError: If it is none.
    """
    return data(value).decode("utf-8", "replace")


def data(value: int | bytes) -> bytes:
    """A field that is bytes.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(value, int):
        raise ValueError("no message: a number where bytes are expected")
    return value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and where it ends."""
    number = shift = 0
    while at < len(message) and shift < 70:  # ten bytes hold 64 bits
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:  # the highest bit says that there are more
            return number, at
        shift += 7
    raise ValueError("no message: it ends within a number")
