"""Combines the norms of parameters to the norms of layers, on one rank.

Shapes: S steps, L layers, P parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from gradsound.measure.async_copy import AsyncCopy
from gradsound.measure.norms.snapshot import stack_host_norms

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """

    __slots__ = "_copy", "first", "snapshot"

    def __init__(self, snapshot: NormSnapshot, first: NDArray[np.intp]) -> None:
        self.snapshot, self.first = snapshot, first
        self._copy = AsyncCopy(snapshot.vectors) if snapshot.vectors else None

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
        squares = np.square(self.snapshot.host_norms())
        for vector in self._copy.values() if self._copy else ():
            squares += np.square(vector)
        norms = np.sqrt(np.add.reduceat(squares, self.first))
        absent = np.logical_and.reduceat(self.snapshot.without_gradient, self.first)
        return norms, absent


def combine_rows(
    norms: NDArray[np.float64], first: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Returns the norms of layers, shape (S, L), from those of parameters.

    Args:
        norms: Norms of the parameters, shape (S, P).
        first: Index of each layer's first parameter, shape (L,).
    """
    layers: NDArray[np.float64] = np.sqrt(np.add.reduceat(np.square(norms), first, axis=1))
    return layers


def combined_norms(
    steps: Sequence[NormsPerLayer | None],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]] | None:
    """Returns what `LocalNorms.values` returns of several steps, both of shape (S, L).

    For one step alone it takes as long as for many.

    Args:
        steps: The norms of one step or more.

    Returns:
        None if some are no norms on the host, or of other layers.
    """
    local = [one for one in steps if type(one) is LocalNorms and one.on_host]
    first = local[0].first if local else None
    if first is None or [one.first is first for one in local].count(True) < len(steps):
        return None
    norms = combine_rows(stack_host_norms([one.snapshot for one in local]), first)
    absent = np.empty(norms.shape, bool)
    of_last: NDArray[np.bool_] | None = None  # steps have the same array, until it changes
    for row, one in enumerate(local):
        if (of_parameters := one.snapshot.without_gradient) is not of_last:
            of_last = of_parameters
            absent[row:] = np.logical_and.reduceat(of_parameters, first)
    return norms, absent
