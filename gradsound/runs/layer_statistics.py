"""Running statistics of each layer's norms: lowest, highest, mean, NaN, zeros, absences.

Shapes: L layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.runs.model import Step


class LayerStatistics:
    """Statistics of each layer over the steps that were added.

    Args:
        size: How many layers the run has, L.

    Attributes:
        lowest: Smallest finite norm, shape (L,), float32; NaN without one.
        highest: Largest finite norm, shape (L,), float32; NaN without one.
        peak_step: Number of the step with the largest norm, shape (L,).
        absent: In how many steps the layer had no gradient, shape (L,).
        zero_since: Number of the step since which the norm is 0, shape (L,); -1 if the last
            norm is not 0.
        first_nonfinite: By layer index, in the order of steps: number of the first step
            with a norm that is not finite, and "nan" or "infinite".
    """

    def __init__(self, size: int) -> None:
        self.lowest = np.full(size, np.nan, np.float32)
        self.highest = np.full(size, np.nan, np.float32)
        self.peak_step = np.zeros(size, np.int64)
        self.absent = np.zeros(size, int)
        self.zero_since = np.full(size, -1)
        self.first_nonfinite: dict[int, tuple[int, str]] = {}
        self._log_sum = np.zeros(size)
        self._positive = np.zeros(size, int)  # how many norms were finite and above 0

    def add(self, step: Step) -> None:
        """Adds the norms of a step."""
        self._add_nonfinite(step)
        norms = step.norms
        finite = np.where(np.isfinite(norms), norms, np.float32(np.nan))
        higher = ~(finite <= self.highest) & ~np.isnan(
            finite
        )  # true for the first norm too
        self.peak_step[higher] = step.number
        self.lowest = np.fmin(self.lowest, finite)
        self.highest = np.fmax(self.highest, finite)
        above = finite > 0
        self._log_sum[above] += np.log(finite[above], dtype=np.float64)
        self._positive += above
        self.absent += step.absent
        zero = finite == 0
        self.zero_since[zero & (self.zero_since < 0)] = step.number
        self.zero_since[~zero] = -1

    def geometric_mean(self) -> NDArray[np.float64]:
        """Returns the mean over finite norms above 0, shape (L,); NaN without one."""
        with np.errstate(invalid="ignore"):  # 0 / 0
            mean: NDArray[np.float64] = np.exp(self._log_sum / self._positive)
        return mean

    def _add_nonfinite(self, step: Step) -> None:
        # Clipping by norm spreads the NaN of one layer to all. The raw norms show which.
        causes = step.nonfinite & ~np.isfinite(step.unclipped)
        for layer in np.flatnonzero(causes if causes.any() else step.nonfinite).tolist():
            if layer not in self.first_nonfinite:
                kind = "nan" if np.isnan(step.unclipped[layer]) else "infinite"
                self.first_nonfinite[layer] = step.number, kind
