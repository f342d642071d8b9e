"""The right axis of a panel of norms: the pitches at which the norms sound."""

from __future__ import annotations

from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.music.layer_groups import BANDS_MAX
from gradsound.rendering.axis_ticks import format_hertz
from gradsound.rendering.text_fitting import text_width
from gradsound.synth.sample_rate import MAX_PITCH, SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradsound.music.pitch import Pitch
    from gradsound.music.presets import Preset

_SIZE = 8.0  # points, of the ticks
_COLUMN_SPACE = 8.0  # points between the columns of pitches


def draw_pitches(
    axes: Any, pitches: Mapping[Pitch, Any], preset: Preset, norms: Sequence[float]
) -> None:
    """Draws the axis: a column for each register, in the colour of its band.

    Args:
        axes: The matplotlib axes, with their norms.
        pitches: Colours by the pitches of the bands.
        preset: How a run sounds. Without notes, there is no axis. With a running baseline,
            a norm has no fixed pitch, so the axis only tells the pitch of the medians.
        norms: The norms at the ticks of the left axis.
    """
    if preset.texture == "none":
        return
    columns = [*pitches.items()][:BANDS_MAX]
    if preset.baseline != "fixed":
        medians = [format_hertz(float(pitch.hertz(np.ones(1))[0])) for pitch, _ in columns]
        axis = axes.twinx()
        axis.set_yticks([])
        axis.set_ylabel(f"median: {', '.join(medians)} Hz", fontsize=_SIZE)
        return
    outward = 0.0
    for pitch, colour in columns:
        hertz = np.minimum(pitch.hertz(np.array(norms)), MAX_PITCH * SAMPLE_RATE)
        texts = _pitch_texts(hertz.tolist())
        axis = axes.twinx()
        axis.spines["right"].set_position(("outward", outward))
        axis.spines["right"].set_visible(outward == 0)
        axis.set_yscale("log")
        axis.set_ylim(axes.get_ylim())
        axis.set_yticks(norms, texts, fontsize=_SIZE)
        axis.minorticks_off()
        axis.tick_params(right=outward == 0, pad=3)
        for text in axis.get_yticklabels():
            text.set_color(colour if len(columns) > 1 else "black")
        outward += max(text_width(text, _SIZE) for text in texts) + _COLUMN_SPACE
    axis.set_ylabel("pitch, Hz")


def _pitch_texts(hertz: Sequence[float]) -> list[str]:
    """Returns pitches as texts; "held" beyond the first norm at an end of the range."""
    held = [one == following for one, following in pairwise(hertz)]  # also within a scale
    below = [*takewhile(bool, held)]
    above = [*takewhile(bool, reversed(held))] if len(below) < len(held) else []
    inner = hertz[len(below) : len(hertz) - len(above)]
    texts = [format_hertz(one) for one in inner]
    return ["held"] * len(below) + texts + ["held"] * len(above)
