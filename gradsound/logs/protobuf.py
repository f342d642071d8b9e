"""Decodes the wire format of protocol buffers, as far as TensorBoard and W&B use it.

https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIXED_SIZES = {1: 8, 5: 4}  # bytes by wire type: fixed64 and fixed32
_VARINT, _BYTES = 0, 2  # wire types
_VARINT_BITS = 70  # ten bytes of seven bits; a number of 64 bits takes no more


class Field(NamedTuple):
    """A field of a message.

    Attributes:
        number: The field number.
        value: The value of a varint, a whole number of 0 or more: the encoding adds 2**64
            to a negative one. None for other fields.
        begin: Where the bytes of the value begin in the message.
        end: Where they end.
    """

    number: int
    value: int | None
    begin: int
    end: int


def find_fields(message: bytes, begin: int, end: int) -> Iterator[Field]:
    """Yields the fields of a message that is a part of some bytes.

    Raises:
        ValueError: If the part is no message.
    """
    at = begin
    while at < end:
        key = message[at]
        if key < 0x80:  # nearly always; a call would cost more
            at += 1
        else:
            key, at = read_varint(message, at, end)
        wire_type = key & 7
        if wire_type == _VARINT:
            begin = at
            number, at = read_varint(message, at, end)
            yield Field(key >> 3, number, begin, at)
            continue
        if wire_type == _BYTES:
            size = message[at] if at < end else 0x80
            if size < 0x80:
                at += 1
            else:
                size, at = read_varint(message, at, end)
        elif wire_type in _FIXED_SIZES:
            size = _FIXED_SIZES[wire_type]
        else:
            raise ValueError(f"no message: there is no wire type {wire_type}")
        if size > end - at:
            raise ValueError("no message: it ends within a field")
        yield Field(key >> 3, None, at, at + size)
        at += size


def read_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yields field number and value of each field of a message.

    The value of a varint is a whole number, as in `Field`; that of any other field is its
    bytes.

    Raises:
        ValueError: If the bytes are no message.
    """
    for number, value, begin, end in find_fields(message, 0, len(message)):
        yield number, message[begin:end] if value is None else value


def to_text(value: int | bytes) -> str:
    """Returns the value of a text field.

    Raises:
        ValueError: If the field is a varint.
    """
    return to_bytes(value).decode("utf-8", "replace")


def to_bytes(value: int | bytes) -> bytes:
    """Returns the value of a field of bytes.

    Raises:
        ValueError: If the field is a varint.
    """
    if isinstance(value, int):
        raise ValueError("no message: a number where bytes are expected")
    return value


def read_varint(message: bytes, at: int, end: int) -> tuple[int, int]:
    """Returns a number, seven bits a byte with the lowest first, and its end."""
    number = shift = 0
    while at < end and shift < _VARINT_BITS:
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:  # the highest bit is set in every byte but the last
            return number, at
        shift += 7
    raise ValueError("no message: it ends within a number")
