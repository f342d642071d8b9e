"""The map of ranks in a picture: a row for each rank, a column for each group of steps.

The colour of a cell is the ratio of the rank's norm to the median of all ranks at the same
step. Of the ranks and steps in one cell, the one farthest from the median counts, so that
no cell hides it.

Shapes: S steps, R ranks, G groups of steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.music.rank_ratios import rank_ratios
from gradsound.rendering.alarm_lanes import lane_colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.rendering.alarm_lanes import AlarmLanes
    from gradsound.runs.step_block import StepBlock

_ROWS_MAX = 128  # of a panel 300 pixels high; more ranks share rows
_COLUMNS_MAX = 800  # of a panel 900 pixels wide
_OCTAVES = 2.0  # above and below the median; colours of more are the same
_LABELS_MAX = 16  # ranks with a number beside their row
_SIZE = 8.0  # points
_NO_STEP, _NONFINITE = "0.75", "black"
_COLOURS = "RdBu_r"


@dataclass(frozen=True, slots=True, eq=False)
class RankMap:
    """How far each rank is from the median, in groups of steps.

    Attributes:
        begins: First step of each group, shape (G,).
        octaves: log2 of the ratio of each rank that is farthest from the median in a group,
            shape (G, R), float32. Infinite if a norm is NaN or infinite; NaN without norm.
    """

    begins: NDArray[np.float64]
    octaves: NDArray[np.float32]


def map_ranks(steps: StepBlock, group: int) -> RankMap:
    """Returns the map of the ranks of successive steps.

    Args:
        steps: Steps whose layers are ranks.
        group: How many steps form a group; the last may be smaller.
    """
    ratios = rank_ratios(steps.norms, steps.absent)
    with np.errstate(divide="ignore", invalid="ignore"):
        octaves = np.maximum(np.log2(ratios), -2 * _OCTAVES)  # also of 0
    octaves[steps.nonfinite] = np.inf
    octaves[steps.absent] = np.nan
    begins = np.arange(0, len(steps), group)
    return RankMap(steps.numbers[begins].astype(np.float64), _merge(octaves, begins))


def join_maps(maps: Sequence[RankMap]) -> RankMap:
    """Returns the map of successive maps."""
    return RankMap(
        np.concatenate([one.begins for one in maps]),
        np.concatenate([one.octaves for one in maps]),
    )


def draw_ranks(
    axes: Any, ranks: RankMap, names: Sequence[str], lanes: AlarmLanes, share: float
) -> None:
    """Draws the map, with lanes of alarms above it.

    Args:
        axes: The matplotlib axes, with the limits of the steps.
        ranks: The map.
        names: Names of the ranks, R of them.
        lanes: The alarms of the run.
        share: Height of a lane, as a share of the height of the map.
    """
    from matplotlib import colormaps

    columns = np.arange(0, len(ranks.begins), -(-len(ranks.begins) // _COLUMNS_MAX))
    each = -(-len(names) // _ROWS_MAX)  # ranks in a row
    firsts = np.arange(0, len(names), each)
    cells = _merge(_merge(ranks.octaves, columns).T, firsts)  # (rows, columns)
    begins = ranks.begins[columns]
    spacing = (begins[-1] - begins[0]) / max(len(begins) - 1, 1) or 1.0
    edges = np.append(begins, max(axes.get_xlim()[1], begins[-1] + min(spacing, 1.0)))
    heights = np.append(firsts, len(names)).astype(float)
    colours = colormaps[_COLOURS].with_extremes(bad=_NO_STEP)
    limits = {"vmin": -_OCTAVES, "vmax": _OCTAVES}
    style = {"cmap": colours, "rasterized": True, **limits}
    axes.pcolormesh(edges, heights, np.where(np.isinf(cells), np.nan, cells), **style)
    nonfinite = np.where(np.isinf(cells), 1.0, np.nan)
    black = {"cmap": "gray_r", "rasterized": True, "vmin": 0.0, "vmax": 1.0}
    axes.pcolormesh(edges, heights, nonfinite, **black)
    every = -(-len(names) // _LABELS_MAX)
    labelled = range(0, len(names), every)
    ticks = [(k + 0.5, names[k], "black") for k in labelled]
    top, lane = float(len(names)), share * len(names)
    axes.set_ylim(0, top)
    for kind in reversed(lanes.kinds()):  # the most urgent on top
        top += lane
        lanes.draw(axes, kind, top - lane / 2, lane_colour(kind))
        ticks.append((top - lane / 2, lanes.label(kind), lane_colour(kind)))
    axes.axhline(len(names), color="0.5", linewidth=0.6)
    axes.set_ylim(0, top)
    places, labels, shades = zip(*ticks)
    axes.set_yticks(places, labels, fontsize=_SIZE)
    for text, shade in zip(axes.get_yticklabels(), shades):
        text.set_color(shade)
    axes.set_ylabel("rank")
    _add_legend(axes, colours, cells)


def _add_legend(axes: Any, colours: Any, cells: NDArray[np.float32]) -> None:
    """Adds the entries of the legend: marks that lie nowhere."""
    times = 2**_OCTAVES
    entries = [
        (colours(1.0), f" {times:g} x the median of the ranks, or more"),
        (colours(0.5), " the median"),
        (colours(0.0), f" 1/{times:g} x, or less"),
    ]
    if np.isnan(cells).any():
        entries.append((_NO_STEP, " no gradient"))
    if np.isinf(cells).any():
        entries.append((_NONFINITE, " NaN, inf"))
    for colour, label in entries:
        style = {"marker": "s", "linestyle": "none", "markeredgecolor": "0.5"}
        axes.plot([], [], color=colour, label=label, **style)


def _merge(octaves: NDArray[np.float32], begins: NDArray[np.intp]) -> NDArray[np.float32]:
    """Returns what is farthest from 0 in groups of rows; infinity counts as farthest."""
    known = np.isnan(octaves)
    highest = np.maximum.reduceat(np.where(known, -np.inf, octaves), begins)
    lowest = np.minimum.reduceat(np.where(known, np.inf, octaves), begins)
    unknown = np.logical_and.reduceat(known, begins)
    farthest = np.where(highest >= -lowest, highest, lowest)
    return np.where(unknown, np.nan, farthest).astype(np.float32)
