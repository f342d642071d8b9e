"""The running median of each layer's last 32 norms, and their robust standard deviation.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gradsound.alarms.thresholds import MAD_TO_STD, MIN_STEPS, WINDOW_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_CHUNK_NORMS = 1 << 14  # norms at a time; their windows take 2 MB


class RunningMedian:
    """The last `WINDOW_STEPS` norms of each layer, in decades.

    The median of a step covers only the steps before it. So the number of steps in a call
    does not change the result.

    Args:
        layers: Number of layers, L.
    """

    def __init__(self, layers: int) -> None:
        self._history = np.full((WINDOW_STEPS, layers), np.inf, np.float32)

    def windows(self, decades: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the sorted window before each step, then adds the steps to the history.

        Args:
            decades: log10 of norms, shape (S, L). Values that are not finite are not added.

        Returns:
            Shape (S, L, WINDOW_STEPS), infinite where no norm is known.
        """
        finite = np.where(np.isfinite(decades), decades, np.float32(np.inf))
        known = np.concatenate([self._history, finite])
        self._history = known[-WINDOW_STEPS:]
        return np.sort(sliding_window_view(known[:-1], WINDOW_STEPS, axis=0), axis=-1)

    def medians(self, decades: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the median before each step, then adds the steps to the history.

        Args:
            decades: As for `windows`.

        Returns:
            Shape (S, L), NaN where fewer than `MIN_STEPS` norms are known.
        """
        chunks = [median(self.windows(chunk)) for chunk in split_steps(decades)]
        return np.concatenate(chunks)


def split_steps(decades: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Yields successive chunks of steps, to bound the memory that their windows take."""
    steps, layers = decades.shape
    chunk_steps = max(1, _CHUNK_NORMS // layers)
    for step in range(0, steps, chunk_steps):
        yield decades[step : step + chunk_steps]


def median(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the lower median of the finite values along the last axis, which is sorted.

    NaN where fewer than `MIN_STEPS` values are finite.
    """
    count = np.isfinite(windows).sum(axis=-1, keepdims=True)
    middle = np.take_along_axis(windows, (count - 1) // 2, axis=-1)
    return np.where(count >= MIN_STEPS, middle, np.float32(np.nan))[..., 0]


def robust_deviation(
    windows: NDArray[np.float32], medians: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Returns the standard deviation of each window, estimated robustly against outliers.

    The estimate is 1.4826 times the median absolute deviation of the finite values.

    Args:
        windows: Shape (S, L, WINDOW_STEPS).
        medians: Their medians, shape (S, L).
    """
    distances = np.abs(windows - medians[..., None])
    return np.asarray(MAD_TO_STD * median(np.sort(distances, axis=-1)), np.float32)
