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
        weights: Decay, share and first weight of each layer, as `Weights`, shape (3, L);
            NaN where a layer has no moment.
        begun: Which moments begin with this step, shape (L,).
        unknown: Which moments contain gradients of steps before, which gradsound has not
            seen, shape (L,).
        steps: How many steps the optimizer made since the last measured one, with this one.
    """

    weights: NDArray[np.float64]
    begun: NDArray[np.bool_]
    unknown: NDArray[np.bool_]
    steps: int


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
        self._seen, self._squares, self._unseen = np.zeros((3, layers))

    def add(
        self,
        step: MomentStep,
        norms: NDArray[np.float64],
        moments: NDArray[np.float64],
        present: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """Adds a step; returns the ratios after it, shape (L,), NaN where there is none.

        Args:
            step: What the step did to the moments. The steps before it that were not
                measured count as if they had the same norms.
            norms: Norms of the gradients that the optimizer got, shape (L,).
            moments: Norms of the first moments after the step, shape (L,).
            present: Which layers had a gradient, shape (L,).
        """
        decay, share, first = step.weights
        with np.errstate(all="ignore"):
            kept = decay**step.steps
            all_weights = share / (1 - decay)  # of a moment that has no begin
            added = np.where(step.begun, first, all_weights * (1 - kept))
            kept = np.where(step.begun, 0.0, kept)
            unseen = np.where(step.unknown, all_weights, self._unseen) * kept
            known = np.where(step.unknown, 0.0, kept)
            seen = self._seen * known + added
            squares = self._squares * known + added * np.square(norms)
            ratios = np.square(moments) / (seen * squares)
            is_known = unseen <= _UNSEEN_MAX * (unseen + seen)
        on = present & ~np.isnan(decay)
        self._seen = np.where(on, seen, self._seen)
        self._squares = np.where(on, squares, self._squares)
        self._unseen = np.where(on, unseen, self._unseen)
        return np.where(on & is_known, ratios, np.nan)
