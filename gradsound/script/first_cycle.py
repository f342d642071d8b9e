"""The first steps of the optimizers that a running training has already."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.optim import Optimizer


class FirstCycle:
    """Learns which optimizers step after one backward pass, until one steps again.

    Their gradients cannot tell that: some may be left of the iteration before. Nor is the
    iteration in progress complete: its loss and its clipping may be over already.

    Args:
        optimizers: The optimizers that exist; the cycle keeps none alive.
    """

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        self._waiting = weakref.WeakSet(optimizers)
        self._groups: list[list[weakref.ref[Optimizer]]] = []
        self._passes = 0  # at the last step
        self._over = not optimizers

    def goes_on(self, optimizer: Optimizer, passes: int, *, steps: bool) -> bool:
        """Returns whether the run of an optimizer has yet to wait.

        Args:
            optimizer: The optimizer.
            passes: How many backward passes have begun.
            steps: Whether it steps now; else something of it comes before a step.
        """
        if self._over:
            return False
        if optimizer in self._waiting:
            if steps:
                self._add(optimizer, passes)
            return True
        if self._group_of(optimizer) is None:  # it is new
            return False
        self._over = True
        if passes == self._passes and len(self._groups) > 1:
            self._groups[0] += self._groups.pop()  # the cycle began in the middle of these
        return False

    def _add(self, optimizer: Optimizer, passes: int) -> None:
        if passes != self._passes or not self._groups:
            self._groups.append([])
        self._passes = passes
        self._groups[-1].append(weakref.ref(optimizer))
        self._waiting.discard(optimizer)

    def has(self, optimizer: Optimizer) -> bool:
        """Returns whether an optimizer existed before the cycle."""
        return optimizer in self._waiting or self._group_of(optimizer) is not None

    def partners_of(self, optimizer: Optimizer) -> list[Optimizer]:
        """Returns the other optimizers that step after the same backward pass."""
        group = self._group_of(optimizer) or []
        return [one for one in group if one is not optimizer]

    def _group_of(self, optimizer: Optimizer) -> list[Optimizer] | None:
        for group in self._groups:
            alive = [one for reference in group if (one := reference()) is not None]
            if any(one is optimizer for one in alive):
                return alive
        return None
