"""Notices when optimizers hold other parameters than before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.measure.deepspeed_engine import parameter_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch.optim import Optimizer

_EXACT_EVERY = 10  # calls; to compare all parameters takes longer than to read their norms


class HeldParameters:
    """The parameters that optimizers hold at one moment, by group. Keeps none alive.

    Args:
        optimizers: Weak references to the optimizers.
    """

    def __init__(self, optimizers: Sequence[Callable[[], Optimizer | None]]) -> None:
        self._optimizers = optimizers
        self._groups, self._parameters = self._find_groups(), self._find_parameters()
        self._calls = 0

    def differ(self) -> bool:
        """Returns whether the optimizers hold others now.

        The first call finds groups and parameters that were added or removed, and a group
        in which all have been replaced; the tenth at the latest finds any other change.
        """
        self._calls += 1
        return self._find_groups() != self._groups or (
            self._calls % _EXACT_EVERY == 0 and self._find_parameters() != self._parameters
        )

    def _find_groups(self) -> list[tuple[int, int, int]]:
        """Returns the id and the length of each group, and the id of its last parameter."""
        groups = []
        for reference in self._optimizers:
            if (optimizer := reference()) is not None:
                groups += [
                    (id(own), len(own), id(own[-1]) if own else 0)
                    for own in parameter_groups(optimizer)
                ]
        return groups

    def _find_parameters(self) -> list[list[int]]:
        """Returns the ids of the parameters of each group."""
        return [
            [*map(id, group)]
            for reference in self._optimizers
            if (optimizer := reference()) is not None
            for group in parameter_groups(optimizer)
        ]
