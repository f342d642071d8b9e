"""Lays a figure out, once and for all: its panels, and their labels one below another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 11.0  # inches


def new_figure(height: float = 1.0) -> Figure:
    """Returns an empty figure.

    Args:
        height: Height in inches.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # slow to import, and an extra
    except ImportError as error:
        raise MissingExtraError("matplotlib") from error
    return Figure(figsize=(_WIDTH, height), dpi=110)


def lay_out(figure: Figure) -> None:
    """Places the panels of a complete figure, and aligns the labels of their y axes.

    An engine of the figure would draw everything twice to save it, and matplotlib's own
    alignment would measure all ticks again for each label.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    ConstrainedLayoutEngine().execute(figure)
    canvas: Any = FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    for side, outermost in (("left", min), ("right", max)):
        panels = [axes for axes in figure.axes if _is_labelled(axes, side)]
        places = []
        for axes in panels:
            axes.yaxis.get_tightbbox(renderer)  # moves the label beyond its ticks
            x, _ = axes.yaxis.label.get_position()  # in pixels
            places.append((x - axes.bbox.x0) / axes.bbox.width)
        for axes in panels:
            axes.yaxis.set_label_coords(outermost(places), 0.5)


def _is_labelled(axes: Any, side: str) -> bool:
    """Returns whether a panel, or its right axis, has a label on a side."""
    is_panel = axes.get_subplotspec() is not None
    return is_panel and axes.get_ylabel() and axes.yaxis.get_label_position() == side
