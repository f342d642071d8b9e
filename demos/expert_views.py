"""The sound and the picture of `demos/experts.py`."""

from __future__ import annotations

from dataclasses import replace
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
import torch
from junction import EXPERTS, Net, draw_scenes, find_cheapest

import gradsound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from experts import Training
    from matplotlib.axes import Axes

WINDOW = 16  # steps
SOUND_STEPS, NOTE_SECONDS = 200, 0.08


def smooth(used: np.ndarray) -> np.ndarray:
    """Returns the mean of the last WINDOW steps, or of all so far, shape (STEPS,)."""
    sums = np.cumsum(np.r_[0, used])
    ends = np.arange(1, len(used) + 1)
    begins = np.maximum(ends - WINDOW, 0)
    return (sums[ends] - sums[begins]) / (ends - begins)


def write_sound(used_by: Mapping[str, np.ndarray], path: Path) -> None:
    """Writes the experts in use of two trainings, one in each ear, as notes of a chord.

    Args:
        used_by: Experts in use at each step, by the name of a training.
        path: The sound file.
    """
    names = tuple(f"note {k + 1}" for k in range(EXPERTS))
    header = gradsound.Header(layers=names, parameters=(1,) * EXPERTS, start="")
    chord = 2 ** (np.array([0, 7, 12, 16, 19, 24]) / 12)  # twice the norm is an octave
    norms = chord.astype(np.float32)
    runs = []
    for name, used in used_by.items():
        steps = [
            gradsound.Step(
                *(number, NOTE_SECONDS * number, norms),
                absent=np.arange(EXPERTS) >= round(notes),
                values={"experts": float(used[number])},
            )
            for number, notes in enumerate(smooth(used)[:SOUND_STEPS])
        ]
        runs.append(gradsound.Run(header, steps, name=name))
    preset = replace(
        gradsound.PRESETS["ambient"],
        pitch=gradsound.LogPitch(
            anchor=196.0, semitones=12 / np.log10(2), lowest=100.0, highest=2000.0
        ),
        voice="sine",  # overtones would be other notes of the chord
        bands="layers",
        register=0.0,
        note_seconds=NOTE_SECONDS,
        level=0.035,
        thresholds=gradsound.Thresholds(
            dead_steps=SOUND_STEPS
        ),  # a silent note is no death
    )
    gradsound.render(runs[0], path, other=runs[1], preset=preset)


def draw_use(axes: Axes, trainings: Mapping[str, Sequence[Training]]) -> None:
    """Draws the experts in use of all trainings, with their alarms."""
    for color, (loss, of_loss) in enumerate(trainings.items()):
        axes.plot([], [], f"C{color}", label=loss)
        for one in of_loss:
            used = smooth(one.used)
            axes.plot(used, f"C{color}", lw=0.8)
            axes.plot(one.told, used[one.told], "kv", ms=5)
    axes.plot([], [], "kv", ms=5, label="alarm: collapsed")
    axes.set(title="experts in use", xlabel="step", ylim=(0, EXPERTS + 3.5))
    axes.set_yticks(range(EXPERTS + 1))
    axes.legend(loc="upper left", fontsize="small", frameon=False)


def draw_scene(axes: Axes, net: Net) -> None:
    """Draws the paths of a scene in which the planners choose different ones."""
    seen, _, other = draw_scenes(40, torch.Generator().manual_seed(5))
    with torch.no_grad():
        paths, predicted, logits = net(seen)
    likeliest, cheapest = logits.argmax(1), find_cheapest(paths, predicted, logits)
    scene = int((likeliest != cheapest).int().argmax())
    for path in paths[scene]:
        axes.plot(*path.T, ".-", color="0.7")
    axes.plot(*paths[scene, likeliest[scene]].T, "C3.-", label="likeliest")
    axes.plot(*paths[scene, cheapest[scene]].T, "C2.-", label="cheapest")
    axes.plot(*other[scene].T, "k.-", label="the other car")
    axes.set(title=f"a scene, and the paths of {EXPERTS} experts", aspect="equal")
    axes.legend(fontsize="small", frameon=False)


def draw_collisions(axes: Axes, collisions: Mapping[str, np.ndarray]) -> None:
    """Draws the collisions of both planners in percent, shape (seeds, 2), by loss."""
    for place, rates in enumerate(collisions.values()):
        for shift, rate, color in zip((-0.2, 0.2), rates.T, ("C3", "C2")):
            axes.bar(place + shift, rate.mean(), 0.4, color=color)
            axes.vlines(place + shift, rate.min(), rate.max(), "k")
    names = ["\n".join(wrap(name, 16)) for name in collisions]
    axes.set_xticks(range(len(names)), names, fontsize="small")
    axes.set(title="collisions, %: likeliest red, cheapest green")
