"""Averages of squared norms that weigh gradients as the first moments do.

Shapes: L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNSEEN_MAX = 0.01  # share of a moment's weight in gradients that were not measured


@dataclass(frozen=True, slots=True, eq=False)
class MomentStep:
    """What one step of an optimizer did to the first moments of layers.

    Attributes:
        kept: The factor of the weights of earlier gradients, shape (L,); NaN where a layer
            has no moment.
        added: The weight of the new gradient, shape (L,); with ``kept``, that of all steps
            since the last measured one.
        unknown: The weights of gradients that gradsound has not seen, in the moments that
            contain some, shape (L,); 0 where it saw all, NaN where nothing changed. None if
            nothing changed in any layer.
    """

    kept: NDArray[np.float64]
    added: NDArray[np.float64]
    unknown: NDArray[np.float64] | None = None


class MomentAverages:
    """The signal-to-noise ratios of layers from one measured step to the next.

    The ratio is the squared norm of the first moment by the weighted average of squared
    norms, both with the weights of the moment divided by their sum. So it is 1 if all
    gradients are equal. A layer has none until at most 1 percent of the weight of its
    moment is that of gradients from before the measuring.

    Args:
        layers: How many layers there are, L.
    """

    def __init__(self, layers: int) -> None:
        # Sums of weights: of all gradients seen, times squared norms, of gradients unseen.
        self._sums = np.zeros((3, layers))

    def add(
        self,
        step: MomentStep,
        norms: NDArray[np.float64],
        moments: NDArray[np.float64],
        absent: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """Adds a step; returns the ratios after it, shape (L,), NaN where there is none.

        Args:
            step: What the step did to the moments. The steps before it that were not
                measured count as if they had the same norms.
            norms: Norms of the gradients that the optimizer got, shape (L,).
            moments: Norms of the first moments after the step, shape (L,).
            absent: Which layers had no gradient, or have no moment, shape (L,).
        """
        sums = self._sums
        if step.unknown is not None:
            changed = np.array([0 * step.unknown, 0 * step.unknown, step.unknown])
            sums = np.where(np.isnan(changed), sums, changed)
        before, sums = sums, sums * step.kept
        with np.errstate(all="ignore"):
            sums[0] += step.added
            sums[1] += step.added * norms * norms
            seen, squares, unseen = sums
            ratios = moments * moments / (seen * squares)
        ratios[unseen > _UNSEEN_MAX * (unseen + seen)] = np.nan
        none = absent | np.isnan(step.kept)
        if none.any():
            ratios[none] = np.nan
            sums[:, none] = before[:, none]
        self._sums = sums
        return ratios
