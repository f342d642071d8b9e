"""From parameters' norms to layers' norms, on one rank or over all of them.

Shapes: L layers, P parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from gradsound.measure.async_copy import AsyncCopy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.measure.norms.snapshot import NormSnapshot


class LayerNorms(Protocol):
    """Norms of layers that may still be on their way."""

    @property
    def ready(self) -> bool:
        """Whether asking for them takes no waiting."""

    def layers(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Norms, 0 where absent, and which layers are absent, both shape (L,)."""


class LocalNorms:
    """Norms of layers that are whole on this rank.

    Args:
        sample: Norms of the parameters.
        first: The index of each layer's first parameter, shape (L,).
    """

    def __init__(self, sample: NormSnapshot, first: NDArray[np.intp]) -> None:
        self._sample, self._first = sample, first
        self._reading = AsyncCopy(sample.vectors) if sample.vectors else None

    @property
    def ready(self) -> bool:
        """As `LayerNorms.ready`."""
        return self._reading is None or self._reading.ready

    def layers(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """As `LayerNorms.layers`."""
        squares = np.square(self._sample.on_host())
        for vector in self._reading.values() if self._reading else ():
            squares += np.square(vector)
        norms = np.sqrt(np.add.reduceat(squares, self._first))
        return norms, np.logical_and.reduceat(self._sample.none, self._first)
