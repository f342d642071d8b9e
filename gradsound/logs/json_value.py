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


def read_numbers(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yields the numbers in an object; a slash joins the names of nested objects.

    Leaves out texts, lists, and objects that have a `_type`, such as histograms.
    """
    for name, item in value.items():
        if isinstance(item, dict):
            if "_type" not in item and prefix.count("/") < _DEPTH_MAX:
                yield from read_numbers(item, f"{prefix}{name}/")
        elif (number := parse_number(item)) is not None:
            yield f"{prefix}{name}", number
