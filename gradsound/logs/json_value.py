"""Decodes JSON of other tools, by orjson if it is installed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gradsound.logs.row import parse_number

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import orjson
except ImportError:  # an extra
    orjson = None  # type: ignore[assignment]

_DEPTH_MAX = 20  # levels of objects; names are not longer

_decode_text = json.JSONDecoder(parse_int=float).decode  # int refuses 4,300 digits


def decode_json(text: bytes | str) -> Any:
    """Returns the value of a JSON text; the names NaN, Infinity and -Infinity are numbers.

    Raises:
        ValueError: If the text is no JSON.
    """
    if orjson is not None:
        try:
            return orjson.loads(text)
        except ValueError:
            pass  # it may have a NaN
    try:
        if isinstance(text, str):
            return _decode_text(text)  # `loads` would make a decoder each time
        return json.loads(text, parse_int=float)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def split_numbers(value: dict[str, Any]) -> tuple[dict[str, float], dict[str, Any]]:
    """Returns the numbers in an object by name, and its other values.

    A slash joins the names of nested objects. Objects that have a `_type`, such as
    histograms, are left out.
    """
    numbers, others = {}, {}
    for name, item in _read_values(value):
        number = parse_number(item)
        if number is None:
            others[name] = item
        else:
            numbers[name] = number
    return numbers, others


def _read_values(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, dict):
            if "_type" not in item and prefix.count("/") < _DEPTH_MAX:
                yield from _read_values(item, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", item
