"""Protocol buffers: every kind of field is decoded, and other bytes are refused."""

import pytest

from gradsound.logs.protobuf import read_fields, to_bytes, to_text


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (b"", []),
        (b"\x08\x00", [(1, 0)]),
        (b"\x08\x7f", [(1, 127)]),
        (b"\x08\x80\x01", [(1, 128)]),
        (b"\x08" + b"\xff" * 9 + b"\x01", [(1, 2**64 - 1)]),
        (b"\x80\x01\x05", [(16, 5)]),
        (b"\x0a\x00", [(1, b"")]),
        (b"\x12\x02ab\x18\x03", [(2, b"ab"), (3, 3)]),
        (b"\x0a\x80\x01" + b"x" * 128, [(1, b"x" * 128)]),
        (b"\x0a\x80\x00", [(1, b"")]),
        (b"\x09abcdefgh\x15ijkl", [(1, b"abcdefgh"), (2, b"ijkl")]),
    ],
    ids=repr,
)
def test_fields_are_decoded(message: bytes, fields: list[tuple[int, int | bytes]]) -> None:
    """Varints, bytes and numbers of fixed size keep their field number and value."""
    assert [*read_fields(message)] == fields


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x0b", "there is no wire type 3"),
        (b"\x0c", "there is no wire type 4"),
        (b"\x0e", "there is no wire type 6"),
        (b"\x0f", "there is no wire type 7"),
        (b"\x08", "it ends within a number"),
        (b"\x08\x80", "it ends within a number"),
        (b"\x88", "it ends within a number"),
        (b"\x0a", "it ends within a number"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "it ends within a number"),
        (b"\x0a\x03ab", "it ends within a field"),
        (b"\x09abcdefg", "it ends within a field"),
        (b"\x0dabc", "it ends within a field"),
    ],
    ids=repr,
)
def test_other_bytes_are_refused(message: bytes, reason: str) -> None:
    """A message that is cut, or has an unknown wire type, raises ValueError."""
    with pytest.raises(ValueError, match=f"^no message: {reason}$"):
        [*read_fields(message)]


def test_values_have_the_expected_type() -> None:
    """Bytes are decoded with replacements; a number in place of bytes is refused."""
    assert to_bytes(b"\xff") == b"\xff"
    assert to_text("größe".encode()) == "größe"
    assert to_text(b"a\xff") == "a\ufffd"
    for convert in (to_bytes, to_text):
        with pytest.raises(ValueError, match="a number where bytes are expected"):
            convert(3)
