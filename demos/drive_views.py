"""Sound and picture of drives: the gap to the car ahead over time, and its collisions."""

from __future__ import annotations

from math import log10
from typing import TYPE_CHECKING

import numpy as np
import torch
from car_following import SECONDS
from matplotlib.figure import Figure

import gradsound

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

GROWL, PAUSE = 8, 6  # notes of a collision, and silent ones after a drive
PRESET = gradsound.Preset(
    name="closed loop",
    texture="chord",
    pitch=gradsound.LogPitch(  # 2 m, the expert's gap at rest, is 110 Hz
        anchor=110.0, norm=2.0, semitones=12 / log10(2), lowest=61.7, highest=2637.0
    ),
    voice="soft",
    note_seconds=0.045,
    rest_seconds=0.015,
    fade_seconds=0.008,
    level=0.14,
    spread=0.7,
    bands="layers",
    alarms=0.0,
    thresholds=gradsound.Thresholds(dead_steps=10**6),  # a policy that waits is not dead
    drives=(gradsound.Drive(value="error", drives="tempo", low=1e-3, high=0.25),),
)


def heard(gaps: NDArray[np.float32], errors: Tensor) -> gradsound.Run:
    """Returns the run that sounds: ERM drives the scenes one by one, then CW-ERM.

    Args:
        gaps: Of both in m, (2, scenes, moments); every second one sounds.
        errors: The open-loop errors of both, (2,).
    """
    apart = np.logical_and.accumulate(gaps > 0, axis=2)[..., 1::2]
    shape = (*apart.shape[:2], apart.shape[2] + GROWL + PAUSE, 2)
    norms, absent = np.full(shape, np.nan, np.float32), np.ones(shape, bool)
    for place in np.ndindex(shape[:2]):
        notes = gaps[place][1::2][apart[place]]
        end = len(notes) + (GROWL if len(notes) < apart.shape[2] else 0)
        norms[place][: len(notes), place[0]] = notes
        absent[place][:end, place[0]] = False
    rows = zip(
        norms.reshape(-1, 2),
        absent.reshape(-1, 2),
        errors.repeat_interleave(norms[0].size // 2),
    )
    steps = [
        gradsound.Step(number, 2 * SECONDS * number, *row, values={"error": float(error)})
        for number, (*row, error) in enumerate(rows)
    ]
    header = gradsound.Header(layers=("ERM", "CW-ERM"), parameters=(0, 0), start="")
    return gradsound.Run(header, steps, "drives")


def draw(path: Path, gaps: NDArray[np.float32], collisions: dict[str, Tensor]) -> None:
    """Draws the drives that sound, and the collisions of each seed."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    *drives, seeds = figure.subplots(1, 3, width_ratios=(1, 1, 1.4))
    for axes, name, policy in zip(drives, ("ERM", "CW-ERM"), gaps):
        axes.set(title=f"{name} drives: x is a collision", xlabel="s", ylabel="gap, m")
        axes.set(xlim=(0, SECONDS * gaps.shape[2]), ylim=(0, 1.05 * gaps.max()))
        for notes in policy:
            end = int(np.logical_and.accumulate(notes > 0).sum())
            times = SECONDS * np.arange(1, end + 1)
            (line,) = axes.plot(times, notes[:end])
            if end < len(notes):
                axes.plot(times[-1], 0, "x", color=line.get_color(), clip_on=False)
    seeds.plot(torch.stack([*collisions.values()]), "o-", color="0.5", markersize=3)
    seeds.set(title="a line is a seed", ylabel="collisions, %", ylim=(0, None))
    names = [name.replace(", ", ",\n") for name in collisions]
    seeds.set_xticks(range(len(names)), names)
    figure.savefig(path, dpi=80)
