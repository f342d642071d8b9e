"""The trend of a loss: its slope at the end of a run, and how sure the slope is."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCKS_MIN = 1024  # blocks of a long run; at twice as many, two become one
_FIT_MIN = 24  # blocks; fewer have no certain slope
_SIMILARITY_MAX = 0.9  # of successive residuals; more would make every slope uncertain


@dataclass(frozen=True, slots=True)
class Slope:
    """The slope of a loss.

    Attributes:
        rise: Rise of the loss per doubling of the steps; negative for a fall.
        error: Standard error of the rise; infinite if there are too few losses.
        mean: Mean loss.
        first_step: Number of the first step to which the slope belongs.
    """

    rise: float
    error: float
    mean: float
    first_step: int


class LossTrend:
    """Block means of all losses of a run, in bounded memory; the slope of their end.

    A loss falls in proportion to the logarithm of the steps for most of a training (Kaplan
    et al. 2020), so the slope is that of a doubling of the steps.
    """

    def __init__(self) -> None:
        # Sums of step numbers and of losses; the first `_block_count` rows are known.
        self._blocks, self._block_count = np.zeros((2 * _BLOCKS_MIN, 2)), 0
        self._size, self._open_count = 1, 0  # losses
        self._open: tuple[float, ...] = (0.0, 0.0)  # sums of the block that is not full
        self.count = 0

    def add(self, steps: NDArray[np.int64], losses: NDArray[np.float64]) -> None:
        """Adds finite losses.

        Args:
            steps: Numbers of their steps, shape (K,).
            losses: Shape (K,).
        """
        self.count += len(losses)
        pairs = np.stack([steps.astype(np.float64), losses], axis=1)
        while len(pairs):
            # Up to the loss at which two blocks become one.
            room = (2 * _BLOCKS_MIN - self._block_count) * self._size - self._open_count
            self._fill_blocks(pairs[:room])
            pairs = pairs[room:]
            if self._block_count == 2 * _BLOCKS_MIN:
                self._block_count, self._size = _BLOCKS_MIN, 2 * self._size
                halves = self._blocks[::2] + self._blocks[1::2]
                self._blocks[:_BLOCKS_MIN] = halves

    def _fill_blocks(self, pairs: NDArray[np.float64]) -> None:
        """Adds pairs of step numbers and losses to blocks of the present size.

        The sums go from loss to loss, so they do not depend on how many come at a time.
        """
        missing = self._size - self._open_count
        if self._open_count and len(pairs):
            head = np.concatenate([[self._open], pairs[:missing]])
            self._open = tuple(np.add.accumulate(head)[-1].tolist())
            self._open_count += len(head) - 1
            if self._open_count < self._size:
                return
            self._add_blocks(np.array([self._open]))
            pairs = pairs[missing:]
        whole = len(pairs) - len(pairs) % self._size
        if whole:
            groups = pairs[:whole].reshape(-1, self._size, 2)
            self._add_blocks(np.add.accumulate(groups, axis=1)[:, -1])
        rest = pairs[whole:]
        self._open_count = len(rest)
        if len(rest):
            self._open = tuple(np.add.accumulate(rest)[-1].tolist())

    def _add_blocks(self, sums: NDArray[np.float64]) -> None:
        """Adds full blocks, shape (N, 2)."""
        end = self._block_count + len(sums)
        self._blocks[self._block_count : end] = sums
        self._block_count = end

    def slope(self, share: float) -> Slope:
        """Returns the slope of the loss at the end of the run.

        Args:
            share: The part of the run, from its end, above 0 and at most 1.
        """
        count = max(_FIT_MIN, round(share * self._block_count))
        if count > self._block_count:
            return Slope(0.0, inf, 0.0, 0)
        last = self._blocks[self._block_count - count : self._block_count]
        steps, means = last.T / self._size
        # A log may begin late in a training, so the numbers of the steps count.
        doublings = np.log2(steps + 1)
        x = doublings - doublings.mean()
        y = means - means.mean()
        rise = float(x @ y / (x @ x))
        residuals = y - rise * x
        variance = float(residuals @ residuals) / (len(x) - 2)
        # Successive losses resemble each other, so they are fewer than they seem.
        power = float(residuals @ residuals) or 1.0
        similarity = float(residuals[1:] @ residuals[:-1]) / power
        similarity = min(max(similarity, 0.0), _SIMILARITY_MAX)
        error = (variance / float(x @ x) * (1 + similarity) / (1 - similarity)) ** 0.5
        return Slope(rise, error, float(means.mean()), int(steps[0]))
