"""The update ratios of steps, with what is usual for them: those before, norms and rates.

Shapes: S steps, M of them with ratios, L layers, W = `WINDOW_STEPS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.running_median import RunningMedian, find_extremes, median
from gradsound.alarms.thresholds import MOMENTUM_STEPS

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredUpdates:
    """The update ratios of the steps that have any; usual is the median of the last W.

    Attributes:
        rows: Indices of these steps, shape (M,).
        counts: How many steps the run had up to each, shape (M,).
        decades: log10 of the ratios, shape (M, L); minus infinity for 0, NaN for none.
        windows: The last such numbers before each step, shape (L, M, W); infinite where
            none is known, or where it was 0.
        usual: Their medians, shape (M, L); NaN where too few are known.
        norms: Norms by the usual norm, in decades, shape (M, L); NaN without a gradient
            above 0, and 0 if no norm is usual yet.
        high: The highest norms of the last `MOMENTUM_STEPS` steps, the same way.
        rates: The last known learning rates, shape (M,); NaN if there is none yet.
    """

    rows: NDArray[np.intp]
    counts: NDArray[np.int64]
    decades: NDArray[np.float32]
    windows: NDArray[np.float32]
    usual: NDArray[np.float32]
    norms: NDArray[np.float32]
    high: NDArray[np.float32]
    rates: NDArray[np.float64]


class UpdateHistory:
    """Follows the update ratios and the norms of layers.

    Args:
        layers: Number of layers, L.
    """

    def __init__(self, layers: int) -> None:
        self._norms, self._ratios = RunningMedian(layers), RunningMedian(layers)
        self._last = np.full((MOMENTUM_STEPS - 1, layers), np.nan, np.float32)  # norms
        self._count = 0  # of steps

    def measure(
        self,
        norms: NDArray[np.float64],
        ratios: NDArray[np.float32],
        rates: NDArray[np.float64],
    ) -> MeasuredUpdates | None:
        """Returns the update ratios of successive steps; None if there are none.

        Args:
            norms: Norms of the gradients that the optimizer got, shape (S, L); NaN where
                there is none.
            ratios: The update ratios, shape (S, L); NaN where there is none.
            rates: The last known learning rates, shape (S,); NaN if there is none yet.
        """
        rows = np.flatnonzero(~np.isnan(ratios).all(axis=1))
        with np.errstate(divide="ignore"):  # both may be 0
            of_norms = np.log10(norms).astype(np.float32)
            decades = np.log10(ratios[rows])
        of_norms[np.isinf(of_norms)] = np.nan
        known = np.concatenate([self._last, of_norms])
        self._last, self._count = known[len(norms) :], self._count + len(norms)
        if not len(rows):
            return None
        usual = self._norms.medians(of_norms[rows])
        windows = self._ratios.windows(decades)
        high = find_extremes(np.fmax, known, MOMENTUM_STEPS)[rows]
        usual = np.where(np.isnan(usual), of_norms[rows], usual)
        return MeasuredUpdates(
            rows,
            self._count - len(norms) + rows + 1,
            decades,
            windows,
            median(np.sort(windows, axis=-1)).T,
            of_norms[rows] - usual,
            high - usual,
            rates[rows],
        )
