"""Decodes JSON of other tools, by orjson if it is installed."""

from __future__ import annotations

import json
from typing import Any

try:
    import orjson
except ImportError:  # an extra
    orjson = None  # type: ignore[assignment]

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
