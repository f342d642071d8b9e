"""The panel of losses of several runs: a line and a colour for each run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.rendering.curves import draw_curve
from gradsound.rendering.loss_panel import mark_nonfinite, scale_losses
from gradsound.rendering.panel_legend import draw_own_legend, legend_label
from gradsound.runs.value_roles import find_role, find_usual

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.rendering.curves import Curves
    from gradsound.rendering.norm_panel import Series

_NAME_WIDTH = 200.0  # points
_POINTS = {"marker": "o", "markersize": 3.5, "linestyle": "none", "markeredgewidth": 0.8}


def has_losses(series: Sequence[Series]) -> bool:
    """Returns whether a run has a loss."""
    return any(any(_find_losses(one)) for one in series)


def draw_sweep_losses(axes: Any, series: Sequence[Series], width: float) -> None:
    """Draws the loss of each run as a line, and its first evaluation loss as points.

    Args:
        axes: The matplotlib axes.
        series: The runs, with their colours.
        width: Width of the legend in points.
    """
    drawn: list[Curves] = []
    is_explained = False
    for one in series:
        loss, evaluation = _find_losses(one)
        label = legend_label(one.label, _NAME_WIDTH)
        if loss is not None:
            draw_curve(axes, loss, 0, one.colour, label)
            label = "_known"
        if evaluation is not None:
            steps, losses = evaluation.highest_steps[:, 0], evaluation.highest[:, 0]
            style = {"color": one.colour, "markerfacecolor": "white", **_POINTS}
            axes.plot(steps, losses, label=label, **style)
            is_explained |= label == "_known"
        for curves in filter(None, (loss, evaluation)):
            mark_nonfinite(axes, curves, one.colour, "_known")
            drawn.append(curves)
    if is_explained:
        style = {"color": "0.4", "markerfacecolor": "white", **_POINTS}
        axes.plot([], [], label=legend_label("evaluation", _NAME_WIDTH), **style)
    scale_losses(axes, drawn)
    axes.set_ylabel("loss")
    axes.grid(alpha=0.25)
    draw_own_legend(axes, width)


def _find_losses(one: Series) -> tuple[Curves | None, Curves | None]:
    """Returns a run's loss, and its first evaluation loss; None for one that it lacks."""
    values = one.curves.values
    losses = [name for name in values if find_role(name) == "loss"]
    loss = find_usual("loss", losses) or next(iter(losses), None)
    evaluations = (name for name in values if find_role(name) == "evaluation")
    evaluation = next(evaluations, None)
    return values.get(loss or ""), values.get(evaluation or "")
