"""The top of a picture: its title, and sentences about its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT_WIDTH = 680.0  # points; the longest tick labels leave so much on the right
TITLE_SIZE, LINE_SIZE = 12.0, 9.0  # points
_TITLE_HEIGHT, _LINE_HEIGHT = 0.22, 0.165  # inches


def header_height(titles: Sequence[str], lines: Sequence[str]) -> float:
    """Returns the height of the title and the sentences in inches."""
    return _TITLE_HEIGHT * len(titles) + _LINE_HEIGHT * len(lines)


def write_header(axes: Any, titles: Sequence[str], lines: Sequence[str]) -> None:
    """Writes the title and the sentences on axes of `header_height`.

    Args:
        axes: The matplotlib axes.
        titles: The lines of the title.
        lines: The lines of the sentences.
    """
    axes.axis("off")
    place, height = 1.0, header_height(titles, lines)
    sized = [(line, TITLE_SIZE, "bold", _TITLE_HEIGHT) for line in titles]
    sized += [(line, LINE_SIZE, "normal", _LINE_HEIGHT) for line in lines]
    for line, size, weight, line_height in sized:
        axes.text(
            0.0,
            place,
            line,
            fontsize=size,
            weight=weight,
            verticalalignment="top",
            parse_math=False,
        )
        place -= line_height / height
