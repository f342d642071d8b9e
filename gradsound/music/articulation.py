"""Articulation: how long notes are held and how pure they are, by the signals of a run.

A note is held the longer, the more the step changes its weights: tenfold the ratio is twice
the duration, as tenfold the norm is twice the pitch. A note is the purer, the less noise is
in its gradients: noise is heard as breath.

Shapes: S moments, L layers, B bands or tracks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.runs.signals import hold_last
from gradsound.runs.step import NO_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.layer_groups import Band
    from gradsound.runs.signals import Signals
    from gradsound.runs.step_block import StepBlock

_USUAL_RATIO = 1e-3  # at which a note has its usual duration
_LENGTH_MIN, _LENGTH_MAX = 1 / 8, 2.0  # times the usual duration, at 1e-6 and at 1e-2
# The signal-to-noise ratio of noise alone, (1 - b1) / (1 + b1) for b1 = 0.9, and of a batch
# that comes again and again.
_NOISE_SNR, _PURE_SNR = 0.05, 0.6
_BREATH_MAX = 1 / 3  # share of a note's power, so that its pitch stays the loudest


@dataclass(frozen=True, slots=True, eq=False)
class Articulation:
    """How the notes of bands are played at each moment; both arrays have the shape (S, B).

    Attributes:
        lengths: How many times as long as usual a note is held, 1/8 to 2; 1 if unknown.
        breaths: The share of its power that is breath, 0 to 1/3; 0 if unknown.
    """

    lengths: NDArray[np.float64]
    breaths: NDArray[np.float64]


class Articulator:
    """Maps the signals of successive moments to articulations.

    A training may measure a signal at some steps only; in between, the last number of each
    layer counts. A band has the median of its layers.

    Args:
        bands: Groups of layers, B of them.
        heard: Whether signals sound; if not, all notes are as usual.
    """

    def __init__(self, bands: Sequence[Band], *, heard: bool = True) -> None:
        self._bands, self._heard = bands, heard
        self._last: Signals = NO_SIGNALS  # of each layer, shape (L,)

    def articulate(self, steps: StepBlock) -> Articulation:
        """Returns how the notes of the next moments are played."""
        if not (self._heard and (steps.signals or self._last)):
            shape = len(steps), len(self._bands)
            return Articulation(np.ones(shape), np.zeros(shape))
        ratios, snrs = (self._follow(name, steps) for name in ("update_ratio", "snr"))
        return Articulation(_lengths(ratios), _breaths(snrs))

    def _follow(self, name: str, steps: StepBlock) -> NDArray[np.float32]:
        """Returns the last known numbers of bands, shape (S, B); NaN before the first."""
        nothing = np.full(steps.norms.shape, np.nan, np.float32)
        rows = hold_last(steps.signals.get(name, nothing), self._last.get(name))
        self._last = {**self._last, name: rows[-1]}
        return band_medians(rows, self._bands)


def band_medians(
    numbers: NDArray[np.float32], bands: Sequence[Band]
) -> NDArray[np.float32]:
    """Returns the medians of the layers of each band, shape (S, B); NaN without a number.

    Args:
        numbers: Of each layer, shape (S, L); NaN where a layer has none.
        bands: The bands, B of them.
    """
    columns = [_medians(numbers[:, [*band.layers]]) for band in bands]
    return np.stack(columns, axis=1)


def _medians(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the median of each row, without a warning for rows of NaN."""
    if numbers.shape[1] == 1:
        return numbers[:, 0]
    ordered = np.sort(numbers, axis=1)  # NaN comes last
    known = np.sum(~np.isnan(numbers), axis=1)
    rows = np.arange(len(numbers))
    low, high = ordered[rows, (known - 1) // 2], ordered[rows, known // 2]
    return np.asarray(np.where(known % 2, high, (low + high) / 2))


def _lengths(ratios: NDArray[np.float32]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):  # 0 becomes the least length
        lengths = 2.0 ** np.log10(ratios.astype(np.float64) / _USUAL_RATIO)
    lengths = np.clip(lengths, _LENGTH_MIN, _LENGTH_MAX)
    return np.asarray(np.nan_to_num(lengths, nan=1.0))


def _breaths(snrs: NDArray[np.float32]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):  # 0 becomes the most breath
        purity = np.log(snrs.astype(np.float64) / _NOISE_SNR)
    purity = np.clip(purity / np.log(_PURE_SNR / _NOISE_SNR), 0, 1)
    return np.asarray(np.nan_to_num(_BREATH_MAX * (1 - purity), nan=0.0))
