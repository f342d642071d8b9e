"""What sampled networks take images for, as notes and as a picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import matplotlib as mpl
import torch
from member_sound import CHORD, render_members

mpl.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HEARD = 8  # samples, and images of each kind
DIGITS_IN_OCTAVE = 6  # two semitones for each
# Equal notes begin at phases that cancel. Tuned so, a unison is as loud as a cluster.
CENTS = torch.tensor([-1.0, 6.0, -4.0, 1.0, -6.0, -3.0, 3.0, 4.0])
SLOW = replace(CHORD, voice="sine", level=0.06, note_seconds=0.4, rest_seconds=0.15)


def render_votes(votes: Mapping[str, torch.Tensor], path: Path) -> None:
    """Writes a sound: a chord for each image, and a pause after each kind of image.

    Args:
        votes: The digits that samples see, by kind, each of shape (samples, images).
        path: The sound file.
    """
    pause = torch.full((2, HEARD), torch.nan)
    chords = [
        kind[:HEARD, :HEARD].T / DIGITS_IN_OCTAVE + CENTS / 1200 for kind in votes.values()
    ]
    render_members(torch.cat([torch.cat([kind, pause]) for kind in chords]), path, SLOW)


def draw_votes(
    images: Mapping[str, torch.Tensor], votes: Mapping[str, torch.Tensor], path: Path
) -> None:
    """Draws the images that are heard and, below each, how many samples see which digit."""
    figure, panels = plt.subplots(
        *(2, len(votes)),
        figsize=(3 * len(votes), 4.2),
        layout="constrained",
        height_ratios=(1, 6),
        squeeze=False,
    )
    for (strip, roll), (kind, digits) in zip(panels.T, votes.items()):
        row = torch.cat([*images[kind][:HEARD, 0]], dim=1)
        strip.imshow(row, cmap="gray_r", aspect="auto")
        strip.set(title=kind, xticks=[], yticks=[])
        for image in range(HEARD):
            seen, counts = digits[:HEARD, image].unique(return_counts=True)
            roll.scatter([image] * len(seen), seen, s=16 * counts, color="tab:blue")
        roll.set(xlim=(-0.5, HEARD - 0.5), ylim=(-0.7, 9.7), yticks=range(10), xticks=[])
        roll.grid(axis="y", color="0.9")
        roll.set_axisbelow(True)
    panels[1, 0].set(ylabel="digit; area: how many of 8 samples")
    figure.savefig(path, dpi=90)
