"""Nested values of JSON: objects in objects, whose names are joined by a slash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.logs.numbers import parse_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DEPTH_MAX = 8  # nested objects; metrics are not nested deeper
_NAME_PARTS_MAX = 20  # levels of objects; names are not longer


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
            if "_type" not in item and prefix.count("/") < _NAME_PARTS_MAX:
                yield from _read_values(item, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", item
