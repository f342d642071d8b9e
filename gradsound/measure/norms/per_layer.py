"""Combines the norms of parameters to the norms of layers, on one rank.

Shapes: S steps, L layers, P parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from gradsound.measure.async_copy import AsyncCopy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
        """Returns the norms, 0 where absent, and which are absent, both shape (L,).

        The caller changes neither: other steps may have the same arrays.
        """


class LocalNorms:
    """Norms of layers that are whole on this rank.

    Args:
        snapshot: Norms of the parameters.
        first: Index of each layer's first parameter, shape (L,).

    Attributes:
        snapshot: As given.
        first: As given.
        combined: What `values` returns, once it is known.
    """

    def __init__(self, snapshot: NormSnapshot, first: NDArray[np.intp]) -> None:
        self.snapshot, self.first = snapshot, first
        self._copy = AsyncCopy(snapshot.vectors) if snapshot.vectors else None
        self.combined: tuple[NDArray[np.float64], NDArray[np.bool_]] | None = None

    @property
    def on_host(self) -> bool:
        """Whether no norm comes from an accelerator."""
        return self._copy is None

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
        if self.combined is not None:
            return self.combined
        squares = np.square(self.snapshot.host_norms())
        for vector in self._copy.values() if self._copy else ():
            squares += np.square(vector)
        norms = np.sqrt(np.add.reduceat(squares, self.first))
        absent = np.logical_and.reduceat(self.snapshot.without_gradient, self.first)
        return norms, absent


def combine_together(steps: Iterable[NormsPerLayer | None]) -> None:
    """Combines the norms of several steps that are on the host in one operation.

    Then `LocalNorms.values` returns the result. For one step alone it takes as long as for
    many.
    """
    by_layers: dict[int, list[LocalNorms]] = {}
    for norms in steps:
        if type(norms) is LocalNorms and norms.on_host:
            by_layers.setdefault(id(norms.first), []).append(norms)
    for group in by_layers.values():
        if len(group) > 1:
            _combine(group)


def _combine(steps: Sequence[LocalNorms]) -> None:
    first = steps[0].first
    squares = np.square(np.stack([one.snapshot.host_norms() for one in steps]))  # (S, P)
    rows = np.sqrt(np.add.reduceat(squares, first, axis=1))  # (S, L)
    absent: dict[int, NDArray[np.bool_]] = {}
    for one, row in zip(steps, rows):
        without_gradient = one.snapshot.without_gradient
        if (key := id(without_gradient)) not in absent:
            absent[key] = np.logical_and.reduceat(without_gradient, first)
        one.combined = row, absent[key]
