"""How several runs share a step: two sound at once, more sound one after another.

A listener tells two runs apart by the ear. More runs at once would be a chord that nobody
can take apart. So each has a single note, that of the norm of all layers: equal
norms are equal notes, and a run that differs is heard at its place from left to right.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.music.presets import Preset
    from gradsound.music.textures import Layout

_AT_ONCE = 2  # runs, one in each ear
_ALL_LAYERS = {"all": ("*",)}


def share_preset(preset: Preset, runs: int) -> Preset:
    """Returns the preset with which so many runs sound together.

    Each of three runs or more has one band of all layers, unless the preset names bands. A
    sweep through every layer becomes a sweep through the runs.
    """
    if runs <= _AT_ONCE:
        return preset
    texture = "turn" if preset.texture == "scan" else preset.texture
    bands = _ALL_LAYERS if isinstance(preset.bands, str) else preset.bands
    return replace(preset, texture=texture, bands=bands)


def lay_out_runs(preset: Preset, runs: Sequence[Sequence[str]]) -> list[Layout]:
    """Returns when each track of each run sounds in a step of usual duration.

    Args:
        preset: How the runs sound, from `share_preset`.
        runs: Names of the layers of each run.
    """
    values = sum(drive.drives == "voice" for drive in preset.drives)
    counts = [len(preset.bands_of(names)) + values for names in runs]
    if len(runs) <= _AT_ONCE:
        return [preset.layout(count) for count in counts]
    together, layouts, begin = preset.layout(sum(counts)), [], 0
    for count in counts:
        layouts.append(replace(together, onsets=together.onsets[begin : begin + count]))
        begin += count
    return layouts
