"""Cells of the tables that `gradsound info` prints: numbers and names."""

from __future__ import annotations

from math import isnan

_GAP = "..."  # in place of the middle of a name


def format_number(number: float) -> str:
    """Returns a number with four digits, or NaN."""
    return "NaN" if isnan(number) else f"{number:.4g}"


def shorten(name: str, width: int | None) -> str:
    """Returns a name without its middle if it is wider; layers differ at their ends."""
    if width is None or len(name) <= width:
        return name
    end = (width - len(_GAP)) // 2
    return name[: width - len(_GAP) - end] + _GAP + name[-end:]
