"""Objects in JSON lines: decodes them, and flattens nested ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

try:
    import orjson
except ImportError:  # an extra
    orjson = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DEPTH_MAX = 8  # nested objects; metrics are not nested deeper

_decode_json = json.JSONDecoder(parse_int=float).decode  # int refuses 4,300 digits


def decode_lines(lines: Sequence[str]) -> list[dict[str, Any]] | None:
    """Decodes lines at once; returns None if one of them is not an object."""
    kept = [line for line in lines if line and not line.isspace()]
    text = f"[{','.join(kept)}]"
    try:
        decoded = _decode_json(text) if orjson is None else orjson.loads(text)
    except (ValueError, RecursionError):
        return None
    is_regular = len(decoded) == len(kept) and {*map(type, decoded)} <= {dict}
    return decoded if is_regular else None


def decode_line(line: str) -> dict[str, Any] | None:
    """Decodes a line; returns None if it is not an object."""
    try:
        entry = _decode_json(line)  # Python's reads NaN and Infinity, too
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def flatten(entry: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Returns an object without nested ones, whose names are joined by `/`."""
    flat = {}
    for name, value in entry.items():
        if type(value) is dict:
            if depth < _DEPTH_MAX:
                flat.update(flatten(value, f"{prefix}{name}/", depth + 1))
        else:
            flat[prefix + name] = value
    return flat
