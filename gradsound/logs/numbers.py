"""Numbers as logs write them: in JSON, in cells of tables and on consoles."""

from __future__ import annotations

import re
from math import inf, nan

# As C writes NaN and infinities on Windows: 1.#INF, -1.#IND, 1.#QNAN0, -nan(ind).
_WINDOWS_NONFINITE = re.compile(
    r"\s*([+-]?)(?:1\.#(INF|IND|QNAN|SNAN)0*|nan\((?:ind|snan)\))\s*", re.IGNORECASE
)
# 1,000 or 1,234.5, not 1,5 or 0,123.
_THOUSANDS = re.compile(r"\s*[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?\s*")


def parse_number(value: object) -> float | None:
    """Returns a value of JSON or a cell of a table as a number, or None if it is none.

    A text is a number if all of it is: "0.5", "1e-3", "1,000", "NaN", "-Infinity",
    "1.#INF". A boolean is no number.
    """
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return _parse_rare(value)
    if type(value) is int:  # not isinstance: a bool is an int
        try:
            return float(value)
        except OverflowError:
            return inf if value > 0 else -inf
    return None


def _parse_rare(text: str) -> float | None:
    if "," in text:
        return float(text.replace(",", "")) if _THOUSANDS.fullmatch(text) else None
    if "#" not in text and "(" not in text:
        return None
    match = _WINDOWS_NONFINITE.fullmatch(text)
    if match is None:
        return None
    if (match[2] or "").upper() != "INF":
        return nan
    return -inf if match[1] == "-" else inf
