"""Curves of the picture: values over the steps of a run, thinned to groups of rows.

Shapes: R rows, C curves, G groups of successive rows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_DENSE_GROUPS = 200  # with values; a curve of more gets a running median, as a thicket
_MEDIAN_WINDOWS = 50  # widths of the running median in a curve


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """The finite values of each group, and where others are.

    Attributes:
        steps: Number of each group's first step, shape (G,).
        highest: The highest value, shape (G, C); NaN if the group has none.
        highest_steps: Number of the step with the highest value, shape (G, C).
        lowest, usual: The lowest value, and the median, shape (G, C).
        nonfinite_steps: Number of the first step with NaN or infinity, shape (G, C); NaN
            if the group has none.
    """

    steps: NDArray[np.float64]
    highest: NDArray[np.float64]
    highest_steps: NDArray[np.float64]
    lowest: NDArray[np.float64]
    usual: NDArray[np.float64]
    nonfinite_steps: NDArray[np.float64]

    def without_gaps(self) -> Curves:
        """Returns the groups in which a curve has a value."""
        kept = ~np.isnan(self.highest).all(axis=1)
        kept |= ~np.isnan(self.nonfinite_steps).all(axis=1)
        return Curves(*(getattr(self, field.name)[kept] for field in fields(self)))


def thin(
    steps: NDArray[np.float64],
    values: NDArray[np.floating],
    present: NDArray[np.bool_],
    rows_per_group: int,
) -> Curves:
    """Returns the curves of rows.

    Args:
        steps: Numbers of the steps, shape (R,).
        values: The values, shape (R, C).
        present: Which values there are, shape (R, C).
        rows_per_group: The last group may have fewer rows.
    """
    padding = -len(steps) % rows_per_group
    steps = np.pad(steps, (0, padding), mode="edge").reshape(-1, rows_per_group)
    if not present.any():  # most runs have no clipped and no skipped steps
        none = np.full((len(steps), values.shape[1]), np.nan)
        return Curves(
            steps[:, 0], none, np.repeat(steps[:, :1], values.shape[1], 1), none, none, none
        )
    shape = (*steps.shape, values.shape[1])
    values = np.pad(values, ((0, padding), (0, 0))).reshape(shape).astype(np.float64)
    present = np.pad(present, ((0, padding), (0, 0))).reshape(shape)
    finite = present & np.isfinite(values)
    ordered = np.sort(np.where(finite, values, np.nan), axis=1)  # NaN last
    last = np.maximum(finite.sum(axis=1) - 1, 0)  # (G, C)
    peaks = np.argmax(np.where(finite, values, -np.inf), axis=1)
    return Curves(
        steps=steps[:, 0],
        highest=_take(ordered, last),
        highest_steps=np.take_along_axis(steps, peaks, axis=1),
        lowest=ordered[:, 0],
        usual=(_take(ordered, last // 2) + _take(ordered, (last + 1) // 2)) / 2,
        nonfinite_steps=first_steps(steps, present & ~np.isfinite(values)),
    )


def first_steps(
    steps: NDArray[np.float64], marked: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Returns the first marked step of each group, shape (G, C); NaN if none is.

    Args:
        steps: Numbers of the steps, shape (G, rows of a group).
        marked: Shape (G, rows of a group, C).
    """
    first = np.take_along_axis(steps, np.argmax(marked, axis=1), axis=1)
    return np.where(marked.any(axis=1), first, np.nan)


def join(parts: Sequence[Curves]) -> Curves:
    """Returns successive curves as one."""
    arrays = (
        np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Curves)
    )
    return Curves(*arrays)


def draw_curve(axes: Any, curves: Curves, column: int, colour: Any, label: str) -> None:
    """Draws a curve through the highest values; a dense one gets its running median.

    Args:
        axes: The matplotlib axes.
        curves: The curves.
        column: Index of the curve.
        colour: A colour of matplotlib.
        label: The text in the legend.
    """
    highest, lowest = curves.highest[:, column], curves.lowest[:, column]
    steps = curves.highest_steps[:, column]
    if np.count_nonzero(~np.isnan(highest)) <= _DENSE_GROUPS:
        style = {"markersize": 3.5, "linewidth": 0.8, "label": label}
        axes.plot(steps, highest, ".-", color=colour, **style)
        return
    if np.any(lowest < highest):
        fill = {"color": colour, "alpha": 0.18, "linewidth": 0}
        axes.fill_between(curves.steps, lowest, highest, **fill)
    thin_style = {"markersize": 1.2, "linewidth": 0.5, "alpha": 0.45}
    axes.plot(steps, highest, ".-", color=colour, **thin_style)
    usual = _running_median(curves.usual[:, column])
    axes.plot(curves.steps, usual, "-", color=colour, linewidth=1.4, label=label)


def _running_median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the median of each value and its neighbours, shape (G,).

    As many neighbours count before a value as after it, so the line begins at the first
    value and ends at the last one. Long gaps stay, at their full length.
    """
    at, known = np.arange(len(values)), np.flatnonzero(~np.isnan(values))
    if not known.size:
        return values
    half = max(len(values) // _MEDIAN_WINDOWS // 2, 1)
    padded = np.pad(values, half, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    reach = np.minimum(at - known[0], known[-1] - at)  # (G,); negative beyond the ends
    inside = np.abs(np.arange(-half, half + 1)) <= reach[:, None]
    windows = np.where(inside, windows, np.nan)
    present = ~np.isnan(windows)
    between = present[:, : half + 1].any(axis=1) & present[:, half:].any(axis=1)
    middle = np.maximum(np.count_nonzero(present, axis=1) - 1, 0)[:, None] // 2
    medians = np.take_along_axis(np.sort(windows), middle, axis=1)[:, 0]
    return np.where(between, medians, np.nan)


def _take(ordered: NDArray[np.float64], at: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.take_along_axis(ordered, at[:, None], axis=1)[:, 0]
