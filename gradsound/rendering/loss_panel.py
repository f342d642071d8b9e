"""The panel of losses in a picture, with the learning rate on its right axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.rendering.axis_ticks import format_tick, log_ticks
from gradsound.rendering.curves import draw_curve
from gradsound.rendering.panel_legend import draw_legend, legend_label
from gradsound.runs.value_roles import find_role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.rendering.curves import Curves
    from gradsound.rendering.norm_panel import Series

_LOG_RATIO = 30.0  # times; losses over a wider range are on a logarithmic axis
_OUTLIER = 100.0  # times the median size; losses of both signs are then on a symlog axis
_SIZE = 8.0  # points, of the ticks
_HEADROOM = 1.08  # times the highest learning rate
_POINT_SIZE, _MANY_POINTS = 4.5, 80  # points; more evaluations are drawn smaller
_NAMES_MAX = 8  # of curves; more are not distinguishable
_NAME_WIDTH = 200.0  # points


def has_values(series: Sequence[Series]) -> bool:
    """Returns whether a run has a loss or a learning rate."""
    return any(one.curves.values for one in series)


def draw_losses(axes: Any, series: Sequence[Series], width: float) -> None:
    """Draws the losses of runs as lines, evaluation losses as points, and the rate.

    Args:
        axes: The matplotlib axes.
        series: The runs.
        width: Width of the legend in points.
    """
    from matplotlib import colormaps

    extra = iter([colormaps["Dark2"](k) for k in range(8)] * 4)
    drawn: list[Curves] = []
    for one in series:
        names = [name for name in one.curves.values if find_role(name) != "rate"]
        # The loss of the training first, in the colour of the run.
        names.sort(key=lambda name: (find_role(name) != "loss", name != "loss"))
        for k, name in enumerate(names[:_NAMES_MAX]):
            curves = one.curves.values[name]
            label = _label(one, name)
            if find_role(name) == "loss":
                colour = next(extra) if k else one.colour or "0.2"
                draw_curve(axes, curves, 0, colour, label)
            else:
                colour = one.colour or next(extra)
                size = _POINT_SIZE if len(curves.steps) <= _MANY_POINTS else _POINT_SIZE / 2
                style = {"markersize": size, "markeredgewidth": 0.9}
                axes.plot(
                    curves.highest_steps[:, 0],
                    curves.highest[:, 0],
                    "o",
                    markerfacecolor="white",
                    color=colour,
                    label=label,
                    **style,
                )
            mark_nonfinite(axes, curves)
            drawn.append(curves)
    scale_losses(axes, drawn)
    axes.set_ylabel("loss" if drawn else "")
    axes.grid(alpha=0.25)
    handles, labels = axes.get_legend_handles_labels()
    rate_axes = _draw_rates(axes, series)
    if rate_axes is not None:
        more_handles, more_labels = rate_axes.get_legend_handles_labels()
        handles, labels = handles + more_handles, labels + more_labels
    if not drawn:
        axes.set_yticks([])
    draw_legend(axes, handles, labels, width)


def _draw_rates(axes: Any, series: Sequence[Series]) -> Any:
    """Draws the learning rates on a right axis, and returns it; None without a rate."""
    rates = [
        (one, name, curves)
        for one in series
        for name, curves in one.curves.values.items()
        if find_role(name) == "rate"
    ]
    if not rates:
        return None
    right = axes.twinx()
    for one, name, curves in rates:
        right.plot(
            curves.steps,
            curves.usual[:, 0],
            "--",
            color=one.colour or "tab:olive",
            linewidth=1.0,
            label=_label(one, "learning rate" if name == "lr" else name),
        )
    right.set_ylabel("learning rate")
    right.tick_params(labelsize=_SIZE)
    right.yaxis.set_major_formatter(lambda rate, _: format_tick(float(f"{rate:.6g}")))
    highest = max(float(np.nanmax(np.append(one.usual, 0.0))) for _, _, one in rates)
    right.set_ylim(0, _HEADROOM * highest or 1.0)
    return right


def _label(one: Series, name: str) -> str:
    text = f"{one.label}: {name}" if one.label else name
    return legend_label(text, _NAME_WIDTH)


def mark_nonfinite(
    axes: Any, curves: Curves, colour: str = "crimson", label: str = "NaN, inf"
) -> None:
    """Marks the steps with NaN and infinity at the top of axes."""
    steps = curves.nonfinite_steps[~np.isnan(curves.nonfinite_steps)]
    if steps.size:
        axes.plot(
            steps,
            np.full(len(steps), 0.96),
            "|",
            color=colour,
            markersize=8,
            transform=axes.get_xaxis_transform(),
            label=label,
        )


def scale_losses(axes: Any, drawn: Sequence[Curves]) -> None:
    """Chooses a linear axis, or for a wide range a logarithmic one."""
    axes.tick_params(labelsize=_SIZE)
    losses = _finite(drawn)
    if not losses.size:
        return
    low, high = float(losses.min()), float(losses.max())
    size = float(np.median(np.abs(losses)))
    if low > 0 and high > _LOG_RATIO * low:
        margin = (high / low) ** 0.06
        axes.set_yscale("log")
        axes.set_ylim(low / margin, high * margin)
        ticks = log_ticks(low / margin, high * margin)
        axes.set_yticks(ticks, [format_tick(tick) for tick in ticks])
        axes.minorticks_off()
    elif low <= 0 and max(-low, high) > _OUTLIER * size > 0:
        axes.set_yscale("symlog", linthresh=size)
    else:
        axes.yaxis.set_major_formatter(lambda loss, _: format_tick(float(f"{loss:.6g}")))


def _finite(drawn: Sequence[Curves]) -> NDArray[np.float64]:
    arrays = [array.ravel() for one in drawn for array in (one.lowest, one.highest)]
    losses = np.concatenate(arrays) if arrays else np.zeros(0)
    return losses[~np.isnan(losses)]
