"""The norms that notes play: the norm of each band, and the one before clipping.

Shapes: S steps, B bands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.layer_groups import band_norms
from gradsound.music.rank_ratios import RANK_BASELINE, farthest_ratios

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.layer_groups import Band
    from gradsound.music.presets import Preset
    from gradsound.runs.step_block import StepBlock

_CLIPPED_RATIO = 1 + 1e-4  # norm before clipping / after; less is rounding, not clipping


@dataclass(frozen=True, slots=True, eq=False)
class NoteNorms:
    """The norms of each band at each step; all arrays have the shape (S, B).

    Attributes:
        norms: Norms of all gradients of a band as one vector; any number where ``absent``.
        absent: Whether no note sounds.
        finite: Whether the norm is a number, 0 or more.
        unclipped: The norm before clipping; NaN where clipping was idle.
    """

    norms: NDArray[np.float32]
    absent: NDArray[np.bool_]
    finite: NDArray[np.bool_]
    unclipped: NDArray[np.float32]

    @property
    def pitched(self) -> NDArray[np.float64]:
        """All norms that sound as a pitch, shape (S, 2 B); NaN elsewhere.

        A norm of 0 has no pitch.
        """
        norms = np.where(self.finite & (self.norms > 0), self.norms, np.nan)
        return np.hstack([norms, self.unclipped]).astype(np.float64)


def note_norms(steps: StepBlock, bands: Sequence[Band], preset: Preset) -> NoteNorms:
    """Returns the norms that the notes of steps play.

    Args:
        steps: One or more steps, S of them.
        bands: Groups of layers, B of them.
        preset: How the run sounds.
    """
    if preset.baseline == RANK_BASELINE:
        norms, absent = farthest_ratios(steps.norms, steps.absent, bands)
    else:
        norms, absent = band_norms(steps.norms, steps.absent, bands)
    if preset.alarms:  # an alarm announces the skipped step, so no clang does
        absent = absent | (steps.skipped[:, None] & ~np.isfinite(norms))
    finite = np.isfinite(norms) & ~absent
    unclipped = np.full(norms.shape, np.nan, np.float32)
    if preset.clipping and steps.raw is not None:
        raw, _ = band_norms(steps.raw, steps.absent, bands)
        with np.errstate(invalid="ignore"):
            clipped = finite & (norms > 0) & np.isfinite(raw)
            clipped &= raw > _CLIPPED_RATIO * norms
        unclipped[clipped] = raw[clipped]
    return NoteNorms(norms, absent, finite, unclipped)
