"""Notices when optimizers hold other parameters than before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.measure.deepspeed_engine import is_engine_optimizer, parameter_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch.optim import Optimizer

_EXACT_EVERY = 10  # calls; to compare all parameters takes longer than to read their norms


class OptimizerParameters:
    """The parameters that optimizers hold at one moment, by group. Keeps none alive.

    Args:
        optimizers: Weak references to the optimizers.
    """

    def __init__(self, optimizers: Sequence[Callable[[], Optimizer | None]]) -> None:
        self._optimizers = [
            (reference, is_engine_optimizer(reference())) for reference in optimizers
        ]
        self._groups, self._parameters = self._find_groups(), self._find_parameters()
        self.compare_all()  # a training that replaces parameters may do so at each step

    def differ(self, *, exactly: bool = False) -> bool:
        """Returns whether the optimizers hold others now.

        Any call finds groups and parameters that were added to torch's optimizers or
        removed, and a group in which all have been replaced. The very first call, and each
        tenth one, finds any other change too, and so does the call after one that found it.

        Args:
            exactly: Whether this call finds any change.
        """
        self._calls += 1
        if self._find_groups() != self._groups:
            return True
        if not exactly and self._calls % _EXACT_EVERY:
            return False
        if differ := self._find_parameters() != self._parameters:
            self.compare_all()
        return differ

    def compare_all(self) -> None:
        """Lets the next `differ` find any change."""
        self._calls = -1

    def _find_groups(self) -> list[int]:
        """Returns the id and the length of each group, and the id of its last parameter."""
        groups: list[int] = []
        for reference, is_engine in self._optimizers:
            if (optimizer := reference()) is None or is_engine:
                continue
            for group in optimizer.param_groups:
                own = group["params"]
                groups += (id(own), len(own), id(own[-1]) if own else 0)
        return groups

    def _find_parameters(self) -> list[list[int]]:
        """Returns the ids of the parameters of each group."""
        return [
            [*map(id, group)]
            for reference, _ in self._optimizers
            if (optimizer := reference()) is not None
            for group in parameter_groups(optimizer)
        ]


def held_addresses(optimizer: Optimizer) -> NDArray[np.int64]:
    """Returns the ids of all that an optimizer holds.

    These are the list of its groups, and their number; then for each group the group, the
    list of its parameters, their number, and these.
    """
    held = [id(optimizer.param_groups), len(optimizer.param_groups)]
    for group in optimizer.param_groups:
        own = group["params"]
        held += (id(group), id(own), len(own), *map(id, own))
    return np.array(held, np.int64)
