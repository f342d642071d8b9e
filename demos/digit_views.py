"""The sound and the picture of `demos/benford.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from digit_laws import BENFORD, correlation, count_digits, divergence, first_digits

import gradsound

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

DIGITS = np.arange(1, 10)
NOTE_SECONDS, REST_SECONDS = 0.42, 0.08
DECADES = 8  # of norms, for which a voice has 0 to 1, and 0.5 at norm 1


def likely_note(phase, norm):
    """Returns a sample of a sine whose energy is in proportion to the norm."""
    loudness = np.exp2(np.log2(10) * DECADES / 2 * (norm - 0.5))
    return loudness * np.sin(2 * np.pi * phase)


def write_sound(shares_by: Mapping[str, np.ndarray], path: Path) -> None:
    """Writes the digits of two prompts, one in each ear, as nine notes of each check.

    Args:
        shares_by: How likely digits are at each check, shape (checks, 9), by prompt.
        path: The sound file.
    """
    names = tuple(f"digit {digit}" for digit in DIGITS)
    header = gradsound.Header(layers=names, parameters=(1,) * len(names), start="")
    seconds = NOTE_SECONDS + REST_SECONDS
    runs = []
    for name, shares in shares_by.items():
        steps = [
            gradsound.Step(k, seconds * k, likely.astype(np.float32), likely < 0)
            for k, likely in enumerate(shares)
        ]
        runs.append(gradsound.Run(header, steps, name=name))
    preset = replace(
        gradsound.PRESETS["chord"],
        pitch=gradsound.LinearPitch(base=130.8, slope=0.0),  # C3, and nine fourths
        voice=likely_note,
        bands="layers",
        register=5.0,
        note_seconds=NOTE_SECONDS,
        rest_seconds=REST_SECONDS,
        level=0.13,
        alarms=0.0,
        thresholds=gradsound.Thresholds(spike_ratio=1e9, vanishing=1e-12),
    )
    gradsound.render(runs[0], path, other=runs[1], preset=preset)


def draw_digits(axes: Axes, shares_by: Mapping[str, np.ndarray]) -> None:
    """Draws shares of digits, shape (9,), as bars, beside Benford's law."""
    width = 0.8 / len(shares_by)
    for k, (name, shares) in enumerate(shares_by.items()):
        axes.bar(DIGITS - 0.4 + (k + 0.5) * width, shares, width, label=name)
    axes.plot(DIGITS, BENFORD, "k.--", label="Benford")
    axes.set(title="first digits", xticks=DIGITS)
    axes.legend(fontsize="small", frameon=False)


def draw_training(
    axes: Axes, steps: np.ndarray, found: np.ndarray, own: np.ndarray
) -> None:
    """Draws how far models are from the data and from Benford's law.

    Args:
        axes: Where to draw.
        steps: The steps of the checks.
        found: Digits of each model and check, shape (models, checks, 9).
        own: The digits of the data, shape (9,).
    """
    for law, color, name in ((own, "C0", "the data"), (BENFORD, "k", "Benford")):
        for k, model in enumerate(found):
            distances = [divergence(shares, law) for shares in model]
            axes.plot(steps, distances, color, label="" if k else f"from {name}")
    axes.set(title="KL of the model's digits", xlabel="step", ylim=(0, 0.5))
    axes.legend(fontsize="small", frameon=False)


def draw_scales(axes: Axes, numbers_by: Mapping[str, np.ndarray]) -> None:
    """Draws MLH of numbers that are multiplied by 1 to 10."""
    factors = np.geomspace(1, 10, 25)
    for name, numbers in numbers_by.items():
        mlh = [correlation(count_digits(first_digits(numbers * k))) for k in factors]
        axes.plot(factors, mlh, label=name)
    axes.set(title="MLH of numbers times a factor", xlabel="factor", xscale="log")
    axes.set_xticks([1, 2, 4, 10], ["1", "2", "4", "10"])
    axes.legend(fontsize="small", frameon=False)
