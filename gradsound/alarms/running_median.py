"""The running median of each layer's last 32 norms, and their robust standard deviation.

Shapes: S steps, L layers, W = `WINDOW_STEPS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.alarms.thresholds import MAD_TO_STD, MIN_STEPS, WINDOW_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_CHUNK_NORMS = 1 << 14  # norms at a time; their windows take 2 MB
_PARTS = 4  # of a window, whose smallest norms bound the median


class RunningMedian:
    """The last `WINDOW_STEPS` norms of each layer, in decades.

    The window of a step covers only the steps before it. So the number of steps in a call
    does not change the result.

    Args:
        layers: Number of layers, L.
    """

    def __init__(self, layers: int) -> None:
        # The steps are rows, so that numpy's loops run over the layers.
        self._history = np.full((WINDOW_STEPS, layers), np.inf, np.float32)

    def windows(self, decades: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the window before each step, then adds the steps to the history.

        Args:
            decades: log10 of norms, shape (S, L). Values that are not finite are not added.

        Returns:
            A view of shape (L, S, W), infinite where no norm is known.
        """
        steps, layers = decades.shape
        known = np.empty((WINDOW_STEPS + steps, layers), np.float32)
        known[:WINDOW_STEPS] = self._history
        known[WINDOW_STEPS:] = np.where(np.isfinite(decades), decades, np.inf)
        self._history = known[-WINDOW_STEPS:].copy()
        row, column = known.strides
        shape = (layers, steps, WINDOW_STEPS)
        return np.ndarray(shape, known.dtype, known, 0, (column, row, row))

    def medians(self, decades: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the median before each step, then adds the steps to the history.

        Args:
            decades: As for `windows`.

        Returns:
            Shape (S, L), NaN where fewer than `MIN_STEPS` norms are known.
        """
        windows = self.windows(decades)
        steps, layers = decades.shape
        rows = split(steps, max(1, _CHUNK_NORMS // layers))
        parts = [median(np.sort(windows[:, chunk], axis=-1)) for chunk in rows]
        return np.concatenate(parts, axis=1).T


def slide(numbers: NDArray[Any], size: int) -> NDArray[Any]:
    """Returns a view of all windows along the last axis, shape (..., K - size + 1, size).

    It does what numpy's `sliding_window_view` does, which takes 30 us; a run that is heard
    live has one step at a time.

    Args:
        numbers: Contiguous, shape (..., K).
        size: Length of a window, at most K.
    """
    shape = (*numbers.shape[:-1], numbers.shape[-1] - size + 1, size)
    strides = (*numbers.strides, numbers.strides[-1])
    return np.ndarray(shape, numbers.dtype, numbers, 0, strides)


def find_extremes(pick: np.ufunc, numbers: NDArray[Any], size: int) -> NDArray[Any]:
    """Returns the lowest or the highest number of all windows along the first axis.

    The windows overlap, so each number is compared once for all windows that contain it.

    Args:
        pick: np.minimum or np.maximum.
        numbers: Shape (K, ...).
        size: Length of a window, a power of 2, at most K.

    Returns:
        Shape (K - size + 1, ...).
    """
    for distance in (1 << k for k in range(size.bit_length() - 1)):
        numbers = pick(numbers[:-distance], numbers[distance:])
    return numbers


def split(count: int, size: int = _CHUNK_NORMS) -> Iterator[slice]:
    """Yields successive slices of a count, to bound the memory of sorted windows."""
    for begin in range(0, count, size):
        yield slice(begin, begin + size)


def median_bounds(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns numbers that the lower median of each window is not below.

    They cost a twentieth of the medians. The median of a full window has half of the norms
    below it or beside it. The second smallest of the smallest norms of four parts has the
    norms of one part below it, at most, so it is not above the median.

    Args:
        windows: From `RunningMedian.windows`, shape (L, S, W).

    Returns:
        Shape (L, S); minus infinity where a window is not full.
    """
    size = WINDOW_STEPS // _PARTS
    known = np.concatenate([windows[:, :, 0].T, windows[:, -1, 1:].T])
    lowest = find_extremes(np.minimum, known, size)
    highest = find_extremes(np.maximum, known, size)
    steps = windows.shape[1]
    a, b, c, d = (lowest[k * size : k * size + steps] for k in range(_PARTS))
    first, second = np.minimum(a, b), np.minimum(c, d)
    bounds = np.minimum(np.maximum(a, b), np.maximum(c, d))
    bounds = np.minimum(bounds, np.maximum(first, second))
    for k in range(_PARTS):
        unknown = np.isinf(highest[k * size : k * size + steps])
        bounds[unknown] = -np.inf
    return np.asarray(bounds.T)


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
        windows: Shape (..., W).
        medians: Their medians, shape (...).
    """
    distances = np.abs(windows - medians[..., None])
    return np.asarray(MAD_TO_STD * median(np.sort(distances, axis=-1)), np.float32)
