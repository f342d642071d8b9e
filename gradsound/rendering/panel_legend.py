"""The legend of a panel in a picture: above the axes, in as many columns as fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.rendering.text_fitting import shorten_middle, text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

_SIZE = 8.0  # points
_HANDLE_WIDTH = 45.0  # points, of the line beside a name and the space


def legend_label(text: str, width: float) -> str:
    """Returns a text for the legend that fits a width in points.

    It begins with a space, because matplotlib omits labels that begin with an underscore.
    """
    return f" {shorten_middle(text, width, _SIZE)}"


def axes_width(axes: Any) -> float:
    """Returns the width of axes in points, after the layout of their figure."""
    engine = axes.figure.get_layout_engine()
    if engine is not None:
        engine.execute(axes.figure.figure)
    return float(72 * axes.bbox.width / axes.figure.dpi)


def draw_own_legend(axes: Any, width: float | None) -> None:
    """Draws the legend of everything on axes, as `draw_legend` does."""
    handles, labels = axes.get_legend_handles_labels()
    draw_legend(axes, handles, labels, width)


def draw_legend(
    axes: Any, handles: Sequence[Any], labels: Sequence[str], width: float | None
) -> None:
    """Draws a legend.

    Args:
        axes: The matplotlib axes.
        handles: What the legend explains, one or more.
        labels: A text for each of them, from `legend_label`.
        width: Width of the legend in points; None for one inside the axes.
    """
    place: dict[str, Any] = {"loc": "best"}
    if width is None:
        space = axes_width(axes) - _HANDLE_WIDTH
        labels = [legend_label(label, space) for label in labels]
    else:
        longest = max(text_width(label, _SIZE) for label in labels) + _HANDLE_WIDTH
        place = {
            "loc": "lower left",
            "bbox_to_anchor": (0.0, 1.0),
            "ncols": max(1, int(width // longest)),
            "frameon": False,
            "borderaxespad": 0.2,
        }
    legend = axes.legend(handles, labels, fontsize=_SIZE, **place)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a layer's name may contain $
