"""Objects in JSON lines: decodes them, and flattens nested ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.logs.json_value import decode_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DEPTH_MAX = 8  # nested objects; metrics are not nested deeper


def decode_lines(lines: Sequence[str]) -> list[dict[str, Any]] | None:
    """Decodes lines at once; returns None if one of them is not an object."""
    kept = [line for line in lines if line and not line.isspace()]
    try:
        decoded = decode_json(f"[{','.join(kept)}]")
    except ValueError:
        return None
    is_regular = len(decoded) == len(kept) and {*map(type, decoded)} <= {dict}
    return decoded if is_regular else None


def decode_line(line: str) -> dict[str, Any] | None:
    """Decodes a line; returns None if it is not an object."""
    try:
        entry = decode_json(line)
    except ValueError:
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
