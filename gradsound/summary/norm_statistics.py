"""Statistics of norms over the steps of a run: lowest, typical, highest, zeros, absences.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.summary.medians import Medians

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class NormRange:
    """The norms of a layer, of a band or of the whole model over a run.

    Attributes:
        name: Name of the layer or band.
        lowest: Smallest finite norm; NaN without one.
        typical: Median of the finite norms above 0; 0 if all are 0, NaN without a norm.
            Exact for 262,144 norms of all layers together; of more, to 1 % or better.
        highest: Largest finite norm; NaN without one.
        lowest_step: Number of the first step with the smallest norm; None without one.
        highest_step: Number of the first step with the largest norm; None without one.
        absent: In how many steps there was no gradient.
        zeros: In how many steps the norm was exactly 0.
        nonfinite: In how many steps the norm was NaN or infinite.

    Example:
        >>> import gradsound
        >>> summary = gradsound.summarize(gradsound.read_run("run.jsonl"))
        >>> norms = summary.layers[0]
        >>> norms.name, norms.lowest <= norms.typical <= norms.highest
        ('conv1', True)
    """

    name: str
    lowest: float
    typical: float
    highest: float
    lowest_step: int | None
    highest_step: int | None
    absent: int
    zeros: int
    nonfinite: int


class NormStatistics:
    """Statistics of the norms of several layers or bands.

    Args:
        names: Their names, L of them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names, size = names, len(names)
        self._lowest = np.full(size, np.inf, np.float32)
        self._highest = np.full(size, -np.inf, np.float32)
        self._lowest_step = np.zeros(size, np.int64)
        self._highest_step = np.zeros(size, np.int64)
        self._absent, self._zeros = np.zeros(size, int), np.zeros(size, int)
        self._nonfinite = np.zeros(size, int)
        self._medians = Medians(size)

    def add(
        self,
        norms: NDArray[np.float32],
        absent: NDArray[np.bool_],
        numbers: NDArray[np.int64],
    ) -> None:
        """Adds successive steps.

        Args:
            norms: Shape (S, L).
            absent: Which have no gradient, shape (S, L).
            numbers: Numbers of the steps, shape (S,).
        """
        known = np.isfinite(norms) & ~absent
        if known.all():  # nearly always
            low = high = norms
        else:
            low, high = np.where(known, norms, np.inf), np.where(known, norms, -np.inf)
            self._absent += absent.sum(axis=0)
            self._nonfinite += (~known & ~absent).sum(axis=0)
        lowest, highest = low.min(axis=0), high.max(axis=0)
        lower = np.flatnonzero(lowest < self._lowest)
        self._lowest_step[lower] = numbers[low[:, lower].argmin(axis=0)]
        self._lowest[lower] = lowest[lower]
        higher = np.flatnonzero(highest > self._highest)
        self._highest_step[higher] = numbers[high[:, higher].argmax(axis=0)]
        self._highest[higher] = highest[higher]
        if not lowest.all():
            zeros = norms == 0
            self._zeros += (zeros & known).sum(axis=0)
            known &= ~zeros
        self._medians.add(norms, known)

    def ranges(self) -> tuple[NormRange, ...]:
        """Returns the statistics of each layer or band."""
        medians = self._medians.values().astype(np.float32)
        return tuple(self._range(k, median) for k, median in enumerate(medians))

    def _range(self, index: int, median: np.float32) -> NormRange:
        """Returns the statistics of one layer or band; its median is NaN if all are 0."""
        lowest, highest = self._lowest[index], self._highest[index]
        known = bool(highest >= 0)
        return NormRange(
            name=self._names[index],
            lowest=_to_float(lowest) if known else np.nan,
            typical=0.0 if highest == 0 else _to_float(median),
            highest=_to_float(highest) if known else np.nan,
            lowest_step=int(self._lowest_step[index]) if known else None,
            highest_step=int(self._highest_step[index]) if known else None,
            absent=int(self._absent[index]),
            zeros=int(self._zeros[index]),
            nonfinite=int(self._nonfinite[index]),
        )


def _to_float(norm: np.float32) -> float:
    """Returns the norm with the digits of float32: 0.1, not 0.10000000149011612."""
    return float(str(norm))
