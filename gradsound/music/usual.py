"""What is usual of each layer, and how far a norm is from it.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MEMORY = 20  # steps; about as long as a listener remembers, at the pace of the ear


class Usual:
    """The running means of the layers' norms, in decades.

    What a step has is compared with the steps before it, so that a run gives the same
    however many of its steps are looked at together.
    """

    def __init__(self) -> None:
        self._decades: NDArray[np.float64] | None = None  # (L,), NaN before the first

    def deviations(self, norms: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far norms of shape (S, L) are from what was usual, -1..1, 1 a decade above.

        0 where there is nothing to compare. Norms that are not finite, and layers without,
        change nothing.
        """
        if self._decades is None:
            self._decades = np.full(norms.shape[1], np.nan)
        usual, far = self._decades, np.empty(norms.shape, np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):  # log10(0), NaN - NaN
            decades = np.log10(norms, dtype=np.float64)
            for step, now in enumerate(decades):
                apart = now - usual
                far[step] = np.clip(np.nan_to_num(apart, nan=0.0), -1, 1)
                # Lines up with the new level within the memory, whatever came before.
                usual = np.where(np.isfinite(apart), usual + apart / _MEMORY, usual)
                usual = np.where(np.isnan(usual) & np.isfinite(now), now, usual)
        self._decades = usual
        return far
