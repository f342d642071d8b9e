"""From parameters' norms to layers' norms, on one rank or over all of them.

Shapes: L layers, P parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from gradsound.measure.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray


class Taken(Protocol):
    """Norms of layers that may still be on their way."""

    @property
    def ready(self) -> bool:
        """Whether asking for them takes no waiting."""

    def layers(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Norms, 0 where absent, and which layers are absent, both shape (L,)."""


class Alone:
    """Norms of layers that are whole on this rank.

    Args:
        vectors: Norms of the parameters as `norms.Meter` takes them, each shape (P,).
        none: Which parameters have no gradient, shape (P,).
        first: The index of each layer's first parameter, shape (L,).
    """

    def __init__(
        self,
        vectors: Sequence[torch.Tensor],
        none: NDArray[np.bool_],
        first: NDArray[np.intp],
    ) -> None:
        self._reading, self._first = Reading(vectors), first
        self._absent = np.logical_and.reduceat(none, first)

    @property
    def ready(self) -> bool:
        """As `Taken.ready`."""
        return self._reading.ready

    def layers(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """As `Taken.layers`."""
        squares = sum(np.square(vector) for vector in self._reading.values())
        return np.sqrt(np.add.reduceat(squares, self._first)), self._absent
