"""The cosines of gradients with the first moments before them, from norms and ratios.

An optimizer keeps the first moment m of gradients g: m becomes b m + (1 - b) g. So the
norms of g and of m before and after a step give the product of g and m before:
|m after|^2 = b^2 |m before|^2 + (1 - b)^2 |g|^2 + 2 b (1 - b) g m. The signal-to-noise
ratio of a gradient is |m|^2 by the average of |g|^2, so it gives |m|.

The ratio itself is slower. It contains the norms of ten steps before, so it even falls
where a batch repeats and is learned.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.thresholds import MOMENT_DECAY

if TYPE_CHECKING:
    from numpy.typing import NDArray

_B, _A = MOMENT_DECAY, 1 - MOMENT_DECAY


class MomentCosines:
    """Follows the first moments of layers.

    Args:
        layers: Number of layers, L.
    """

    def __init__(self, layers: int) -> None:
        self._squares, self._weights = np.zeros((2, layers))  # of the average of |g|^2
        self._moments, self._number = np.full(layers, np.nan), -1  # |m|^2, at which step

    def find(
        self,
        numbers: NDArray[np.int64],
        norms: NDArray[np.float64],
        ratios: NDArray[np.float32],
    ) -> NDArray[np.float64]:
        """Returns the cosines at successive steps.

        Args:
            numbers: Numbers of the steps, shape (S,).
            norms: Norms of the gradients that the optimizer got, shape (S, L); NaN where
                there is none.
            ratios: Their signal-to-noise ratios, shape (S, L).

        Returns:
            Shape (S, L); NaN where the ratio of the step or of the one before is unknown.
            They are from -1 to 1, if the moment decays as supposed and contains gradients
            alone; else they may be anywhere.
        """
        squares = np.square(norms)
        moments = np.empty((len(norms) + 1, norms.shape[1]))
        moments[0] = self._moments
        known = np.isfinite(squares)
        for row in range(len(norms)):
            on, kept = known[row], np.where(known[row], _B, 1.0)
            self._squares = kept * self._squares + np.where(on, _A * squares[row], 0.0)
            self._weights = kept * self._weights + np.where(on, _A, 0.0)
            with np.errstate(all="ignore"):  # no norm may be known yet
                moments[row + 1] = ratios[row] * (self._squares / self._weights)
        before = moments[:-1]
        is_gap = np.diff(numbers, prepend=self._number) != 1
        with np.errstate(all="ignore"):  # norms may be 0
            products = moments[1:] - _B**2 * before - _A**2 * squares
            cosines = products / (2 * _A * _B * np.sqrt(before * squares))
        cosines[is_gap] = np.nan
        self._moments, self._number = moments[-1], int(numbers[-1])
        return np.asarray(np.where(np.isfinite(cosines), cosines, np.nan))
