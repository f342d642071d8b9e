"""The mean of the losses of a step's batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class LossMean:
    """Mean of the losses since the last step, without a wait for an accelerator."""

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._count = 0

    def add(self, loss: Tensor) -> None:
        """Adds the loss of a batch, a tensor of one number, which the caller may change."""
        loss = loss.detach()
        self._sum = loss.clone() if self._sum is None else self._sum + loss
        self._count += 1

    def pop(self) -> Tensor | None:
        """Returns the mean, if there were losses, and forgets them."""
        mean = None if self._sum is None else self._sum / self._count
        self._sum, self._count = None, 0
        return mean
