"""The panel of norms in a picture: norms on the left axis, their pitches on the right.

Above the norms lie lanes: one for NaN and infinity, and one for each kind of alarm. Below
them lies a lane for norms of 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.rendering.alarm_lanes import lane_colour
from gradsound.rendering.axis_ticks import format_tick, log_ticks
from gradsound.rendering.curves import draw_curve
from gradsound.rendering.panel_legend import legend_label
from gradsound.rendering.pitch_axis import draw_pitches
from gradsound.rendering.rank_map import draw_ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.pitch import Pitch
    from gradsound.music.presets import Preset
    from gradsound.music.tracks import Tracks
    from gradsound.rendering.run_curves import RunCurves

_LANE_SHARE, _LANE_HEIGHT = 0.06, 0.13  # of the norms' height, but inches at least
_TICK_HEIGHT = 0.16  # inches between the numbers of two norms, at least
_TICKS_MAX = 9  # numbers of norms
_NAMED_TRACKS = 10  # in the legend, as many as there are distinguishable colours
_MARGIN = 0.04  # of the range of the norms, above and below them
_RANGE_MIN = 2.0  # times; a smaller range of norms is noise
_SIZE = 8.0  # points, of the ticks
_NAME_WIDTH = 290.0  # points, of a band in the legend
_LANE_SIZE, _MARK_SIZE_MIN = 8.0, 2.0  # points, of the marks in a lane
_UNCLIPPED_STYLE = {"marker": "x", "markersize": 2.5, "linestyle": ":", "linewidth": 0.5}
_UNAPPLIED_STYLE = {"marker": "X", "markersize": 6.0, "linestyle": "none"}


@dataclass(frozen=True, slots=True)
class Series:
    """A run in a panel.

    Attributes:
        curves: What the picture shows of the run.
        label: The name of the run in the legend; "" if it is the only one.
        colour: The colour of its only curve; None for colours by band.
    """

    curves: RunCurves
    label: str = ""
    colour: Any = None


def find_range(runs: Sequence[RunCurves]) -> tuple[float, float]:
    """Returns the lowest and the highest norm of runs; 0.1 and 10 if there is none."""
    curves = [one for run in runs for one in (run.norms, run.unclipped, run.unapplied)]
    norms = np.concatenate(
        [array.ravel() for one in curves for array in (one.lowest, one.highest)]
    )
    norms = norms[~np.isnan(norms)]
    return (float(norms.min()), float(norms.max())) if norms.size else (0.1, 10.0)


def find_limits(runs: Sequence[RunCurves]) -> tuple[float, float]:
    """Returns the range of the norms in runs, a little wider than the norms."""
    low, high = find_range(runs)
    margin = max((high / low) ** _MARGIN, np.sqrt(max(_RANGE_MIN * low / high, 1.0)))
    return float(low / margin), float(high * margin)


def panel_height(series: Sequence[Series], inches: float) -> float:
    """Returns the height in inches of a panel whose norms have a height in inches."""
    return inches * (1 + _lane_share(inches) * (_count_lanes(series) + 1))


def _lane_share(inches: float | None) -> float:
    return _LANE_SHARE if inches is None else max(_LANE_SHARE, _LANE_HEIGHT / inches)


def _count_lanes(series: Sequence[Series]) -> int:
    curves = [one.curves for one in series]
    lanes = sum(len(one.lanes.kinds()) for one in curves)
    lanes += any(_has_zeros(one) for one in curves)
    return lanes + any(_has_nonfinite(one) for one in curves)


def draw_norms(
    axes: Any,
    series: Sequence[Series],
    preset: Preset,
    limits: tuple[float, float],
    inches: float | None = None,
) -> None:
    """Draws the norms of one run, or of several, with their alarms; or the map of ranks.

    Args:
        axes: The matplotlib axes.
        series: The runs.
        preset: How they sound.
        limits: The range of the norms.
        inches: Height of the norms alone; None if a user's axes have any height.
    """
    first = series[0].curves
    if first.ranks is not None:
        share = _lane_share(inches)
        draw_ranks(axes, first.ranks, first.run.header.layers, first.lanes, share)
        return
    low, high = limits
    lane = (high / low) ** _lane_share(inches)
    most = _TICKS_MAX if inches is None else int(inches / _TICK_HEIGHT)
    norms = log_ticks(low, high, min(most, _TICKS_MAX))
    ticks = [(norm, format_tick(norm), "black") for norm in norms]
    axes.set_yscale("log")
    for one in series:
        _draw_curves(axes, one)
    bottom, top = low, high
    if any(_has_zeros(one.curves) for one in series):
        bottom = low / lane**2
        ticks.append((low / lane, "0", "black"))
        for one in series:
            _draw_lane(axes, one, one.curves.zero_steps, low / lane, lane)
    axes.set_ylim(bottom, high)
    if any(_has_nonfinite(one.curves) for one in series):
        top *= lane
        ticks.append((top, "NaN, inf", "black"))
        for one in series:
            _draw_lane(axes, one, one.curves.norms.nonfinite_steps, top, lane)
    for one in reversed(series):
        for kind in reversed(one.curves.lanes.kinds()):  # the most urgent on top
            top *= lane
            colour = one.colour if len(series) > 1 else None
            colour = colour or lane_colour(kind)
            one.curves.lanes.draw(axes, kind, top, colour)
            ticks.append((top, one.curves.lanes.label(kind), colour))
    if top > high:
        axes.axhline(high, color="0.5", linewidth=0.6)
        top *= lane
    axes.set_ylim(bottom, top)
    places, labels, colours = zip(*ticks)
    axes.set_yticks(places, labels, fontsize=_SIZE)
    for text, colour in zip(axes.get_yticklabels(), colours):
        text.set_color(colour)
    axes.minorticks_off()
    axes.set_ylabel("norm of the gradient")
    axes.grid(axis="x", alpha=0.25)
    for norm in norms:
        axes.axhline(norm, color="0.6", linewidth=0.5, alpha=0.4, zorder=0)
    pitches: dict[Pitch, Any] = {}
    for pitch, (colour, _) in zip(series[0].curves.tracks.pitches, band_styles(series[0])):
        pitches.setdefault(pitch, colour)
    draw_pitches(axes, pitches, preset, norms)


def _draw_curves(axes: Any, one: Series) -> None:
    """Draws the norms of all bands, and the norms that the optimizer did not get."""
    styles = band_styles(one)
    for track, (colour, label) in enumerate(styles):
        draw_curve(axes, one.curves.norms, track, colour, label)
    for curves, text, shape in (
        (one.curves.unclipped, "before clipping", _UNCLIPPED_STYLE),
        (one.curves.unapplied, "not applied", _UNAPPLIED_STYLE),
    ):
        label = legend_label(f"{one.label}: {text}" if one.label else text, _NAME_WIDTH)
        for track, (colour, _) in enumerate(styles):
            steps, norms = curves.highest_steps[:, track], curves.highest[:, track]
            if not np.isnan(norms).all():
                style = {"color": colour, "alpha": 0.6, "markerfacecolor": "white"}
                axes.plot(steps, norms, label=label, **style, **shape)
                label = "_known"  # one entry in the legend explains all marks


def band_styles(one: Series) -> list[tuple[Any, str]]:
    """Returns the colour of each band, and its text in the legend; "" for none."""
    from matplotlib import colormaps

    bands = one.curves.tracks.bands
    few = len(bands) <= _NAMED_TRACKS
    styles = []
    for k, label in enumerate(
        _describe_bands(one.curves.tracks, one.curves.run.header.layers)
    ):
        colour = one.colour or (
            colormaps["tab10"](k) if few else colormaps["viridis"](k / (len(bands) - 1))
        )
        named = few or k in (0, len(bands) - 1)
        text = f"{one.label}: {label}" if one.label else label
        text = legend_label(text, _NAME_WIDTH) if named else "_unnamed"
        styles.append((colour, text))
    return styles


def _describe_bands(tracks: Tracks, layers: Sequence[str]) -> list[str]:
    """Returns the name of each band, with how many layers it gathers and which."""
    texts = []
    for band in tracks.bands:
        text = band.name
        if len(band.layers) > 1:
            first, last = layers[band.layers[0]], layers[band.layers[-1]]
            text += f": {len(band.layers):,} layers, {first} to {last}"
        elif layers[band.layers[0]] != band.name:
            text += f": {layers[band.layers[0]]}"
        texts.append(text)
    return texts


def _draw_lane(
    axes: Any, one: Series, steps: NDArray[np.float64], middle: float, lane: float
) -> None:
    """Draws a mark of each band at steps, shape (G, B), the bands one above another."""
    styles = band_styles(one)
    for track, (colour, _) in enumerate(styles):
        at = steps[~np.isnan(steps[:, track]), track]
        height = middle * lane ** (0.5 - (track + 0.5) / len(styles))
        size = max(_LANE_SIZE / len(styles), _MARK_SIZE_MIN)
        axes.plot(at, np.full(len(at), height), "|", color=colour, markersize=size)


def _has_zeros(curves: RunCurves) -> bool:
    return not np.isnan(curves.zero_steps).all()


def _has_nonfinite(curves: RunCurves) -> bool:
    return not np.isnan(curves.norms.nonfinite_steps).all()
