"""Texts of the picture, broken or shortened so that they fit a width.

Widths are in points, 1/72 of an inch.
"""

from __future__ import annotations

_ELLIPSIS = "…"


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Returns the width of a text in matplotlib's font.

    Args:
        text: One line.
        size: Size of the font in points.
        weight: "normal" or "bold".
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size, weight=weight)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width)


def shorten_middle(text: str, width: float, size: float, weight: str = "normal") -> str:
    """Returns a text that fits a width; a longer one loses its middle.

    Names of layers differ at their ends more than in their middle.
    """
    text = " ".join(text.split())
    if text_width(text, size, weight) <= width:
        return text
    low, high = 0, len(text)  # characters that stay: `low` fit, `high` do not
    while high - low > 1:
        kept = (low + high) // 2
        fits = text_width(_without_middle(text, kept), size, weight) <= width
        low, high = (kept, high) if fits else (low, kept)
    return _without_middle(text, low)


def break_lines(
    text: str, width: float, size: float, weight: str = "normal", lines_max: int = 2
) -> list[str]:
    """Returns a text as lines that fit a width; an ellipsis replaces a longer rest."""
    lines: list[str] = []
    rest = " ".join(text.split())
    while rest:
        count = _fitting_count(rest, width, size, weight)
        if count == len(rest):
            return [*lines, rest]
        if len(lines) == lines_max - 1:
            count = _fitting_count(rest, width, size, weight, _ELLIPSIS)
            return [*lines, rest[:count] + _ELLIPSIS]
        space = rest.rfind(" ", 0, count + 1)
        cut = space if space > 0 else max(count, 1)
        lines.append(rest[:cut])
        rest = rest[cut:].lstrip()
    return lines


def _fitting_count(
    text: str, width: float, size: float, weight: str, ending: str = ""
) -> int:
    """Returns how many first characters fit a width, with an ending after them."""
    low, high = 0, len(text)
    while low < high:
        count = (low + high + 1) // 2
        if text_width(text[:count] + ending, size, weight) <= width:
            low = count
        else:
            high = count - 1
    return low


def _without_middle(text: str, kept: int) -> str:
    end = kept // 2
    return text[: kept - end] + _ELLIPSIS + (text[-end:] if end else "")
