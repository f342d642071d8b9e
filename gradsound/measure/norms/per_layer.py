"""Combines the norms of parameters to the norms of layers, on one rank.

Shapes: L layers, P parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from gradsound.measure.async_copy import AsyncCopy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.measure.norms.snapshot import NormSnapshot


class NormsPerLayer(Protocol):
    """Norms of layers, possibly still on an accelerator."""

    @property
    def ready(self) -> bool:
        """Whether `values` returns without waiting, as far as `exact`."""

    @property
    def exact(self) -> bool:
        """Whether ``ready`` is exact, as for an `AsyncCopy`."""

    def values(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Returns the norms, 0 where absent, and which are absent, both shape (L,)."""


class LocalNorms:
    """Norms of layers that are whole on this rank.

    Args:
        snapshot: Norms of the parameters.
        first: Index of each layer's first parameter, shape (L,).
    """

    def __init__(self, snapshot: NormSnapshot, first: NDArray[np.intp]) -> None:
        self._snapshot, self._first = snapshot, first
        self._copy = AsyncCopy(snapshot.vectors) if snapshot.vectors else None

    @property
    def ready(self) -> bool:
        """Whether `values` returns without waiting."""
        return self._copy is None or self._copy.ready

    @property
    def exact(self) -> bool:
        """Whether ``ready`` is exact."""
        return self._copy is None or self._copy.exact

    def values(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Returns norms and absence as `NormsPerLayer.values` does."""
        squares = np.square(self._snapshot.host_norms())
        for vector in self._copy.values() if self._copy else ():
            squares += np.square(vector)
        norms = np.sqrt(np.add.reduceat(squares, self._first))
        absent = np.logical_and.reduceat(self._snapshot.without_gradient, self._first)
        return norms, absent
