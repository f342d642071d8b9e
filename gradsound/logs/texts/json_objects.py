"""Objects in JSON lines: decodes them, and flattens nested ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.logs.json_value import decode_json
from gradsound.logs.tables.table_header import KEYS, VALUES
from gradsound.logs.texts.console_form import find_norms

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


def name_value(entry: dict[str, Any]) -> dict[str, Any]:
    """Returns an entry with its value under its name, if it has these two.

    So {"name": "loss", "value": 0.5, "step": 1} becomes {"step": 1, "loss": 0.5}.

    Args:
        entry: An entry without nested objects.
    """
    key = find_key(entry)
    if key is None:
        return entry
    value = next(name for name in VALUES if name in entry)
    rest = {name: one for name, one in entry.items() if name not in (key, value)}
    return {**rest, entry[key]: entry[value]}


def find_key(entry: Mapping[str, Any]) -> str | None:
    """Returns what has the name of the only value of an entry; None in most logs."""
    if not any(name in entry for name in VALUES) or find_norms((*entry,)):
        return None
    return next((name for name in KEYS if isinstance(entry.get(name), str)), None)
