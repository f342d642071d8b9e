"""What is usual of each layer: the median of its recent norms, and how far they scatter.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MEMORY = 32  # steps: two seconds and more, about as long as a listener remembers
ENOUGH = 16  # of them; fewer tell nothing
_SCATTER = 1.4826  # times the median deviation is the standard deviation, if it is normal
_AT_ONCE = 1 << 14  # norms; their windows are 2 MB


class RunningMedian:
    """Remembers the norms of the last steps, in decades.

    A step is compared with those before it alone, so a run gives the same however many of
    its steps are looked at together.

    Args:
        layers: How many, L.
    """

    def __init__(self, layers: int) -> None:
        self._before = np.full((MEMORY, layers), np.inf, np.float32)

    def windows(self, decades: NDArray[np.float32]) -> NDArray[np.float32]:
        """What was before each of some steps, sorted, shape (S, L, MEMORY), and learns it.

        Args:
            decades: log10 of norms, shape (S, L); what is not finite is not remembered.
        """
        finite = np.where(np.isfinite(decades), decades, np.float32(np.inf))
        known = np.concatenate([self._before, finite])
        self._before = known[-MEMORY:]
        return np.sort(sliding_window_view(known[:-1], MEMORY, axis=0), axis=-1)

    def medians(self, decades: NDArray[np.float32]) -> NDArray[np.float32]:
        """The median before each of some steps, shape (S, L); NaN where too few are known.

        It learns the steps.
        """
        return np.concatenate([median(self.windows(some)) for some in parts(decades)])


def parts(decades: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Some steps after the other, as many as do not take much memory with their windows."""
    steps, layers = decades.shape
    together = max(1, _AT_ONCE // layers)
    for step in range(0, max(1, steps), together):
        yield decades[step : step + together]


def median(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The median of the finite ones of sorted values, along the last axis.

    NaN where there are fewer than `ENOUGH`.
    """
    count = np.isfinite(windows).sum(axis=-1, keepdims=True)
    middle = np.take_along_axis(windows, np.maximum(count - 1, 0) // 2, axis=-1)
    return np.where(count >= ENOUGH, middle, np.float32(np.nan))[..., 0]


def scatter(
    windows: NDArray[np.float32], medians: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How far the finite ones scatter: a standard deviation, robust against outliers."""
    apart = np.abs(windows - medians[..., None])
    apart[~np.isfinite(windows)] = np.inf
    return np.asarray(_SCATTER * median(np.sort(apart, axis=-1)), np.float32)
