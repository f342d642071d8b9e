"""One line of JSON as an object: decoded strictly, quoted in error messages."""

from __future__ import annotations

import json
from typing import Any

from gradsound.errors import RunFormatError

encode_json = json.JSONEncoder(ensure_ascii=False).encode  # writes floats exactly, by repr

_EXCERPT_BYTES = 40  # bytes of a line in an error message, which has to fit one line


def decode_object(line: bytes) -> dict[str, Any]:
    """Returns the fields of a JSON object; refuses bare NaN and Infinity, unlike Python.

    Raises:
        RunFormatError: If the line is no JSON object.
    """
    try:
        fields = json.loads(line.decode(), parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RunFormatError(f"expected a JSON object, got {excerpt(line)}") from error
    if not isinstance(fields, dict):
        raise RunFormatError(f"expected a JSON object, got {excerpt(line)}")
    return fields


def refuse_constant(name: str) -> None:
    """Refuses NaN and Infinity, which Python's decoder would take for numbers.

    Raises:
        ValueError: Always.
    """
    raise ValueError(f"{name} is not JSON")


def list_of(kind: type, value: object) -> list[Any]:
    """Returns the value if it is a list of that type only, else an empty list."""
    if isinstance(value, list) and all(type(item) is kind for item in value):
        return value
    return []


def is_number(value: object) -> bool:
    """Returns whether a value of JSON is a number."""
    return type(value) in (int, float)  # not isinstance: a bool is an int


def excerpt(line: bytes) -> str:
    """Returns the beginning of a line, quoted, for an error message."""
    text = line[:_EXCERPT_BYTES].decode("utf-8", "replace").rstrip("\r\n")
    return repr(text + "..." if len(line) > _EXCERPT_BYTES else text)
