"""The panels of sound in a picture: a spectrogram for each run, over the same pitches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.rendering.axis_ticks import format_tick, log_ticks
from gradsound.rendering.spectrogram import ROW_EDGES, SILENCE, pitch_limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.rendering.spectrogram import Spectrogram

_SIZE, _NAME_SIZE = 8.0, 9.0  # points, of the ticks and of the run's name


def draw_sounds(
    panels: Sequence[Any], names: Sequence[str], spectrograms: Sequence[Spectrogram]
) -> None:
    """Draws spectrograms with the range of pitches that sounds, and colour bars in dB.

    Each run has its own scale of levels, so that a soft run is as readable as a loud one.

    Args:
        panels: The matplotlib axes, one for each run.
        names: The name of each run, or "".
        spectrograms: The spectrogram of each run.
    """
    limits = pitch_limits(spectrograms)
    ticks = log_ticks(*limits)
    for axes, name, spectrogram in zip(panels, names, spectrograms):
        mesh = axes.pcolormesh(
            spectrogram.edges,
            ROW_EDGES,
            spectrogram.levels,
            vmin=SILENCE,
            vmax=0.0,
            cmap="magma",
            rasterized=True,
        )
        bar = axes.inset_axes((1.01, 0.0, 0.012, 1.0))
        axes.figure.colorbar(mesh, cax=bar).set_label("dB", fontsize=_SIZE)
        bar.tick_params(labelsize=_SIZE)
        axes.set(yscale="log", ylim=limits, ylabel="sound, Hz", facecolor="black")
        axes.set_yticks(ticks, [format_tick(tick) for tick in ticks], fontsize=_SIZE)
        axes.minorticks_off()
        style = {"color": "white", "fontsize": _NAME_SIZE, "parse_math": False}
        place = {"transform": axes.transAxes, "verticalalignment": "top"}
        axes.text(0.01, 0.95, name, **style, **place)
