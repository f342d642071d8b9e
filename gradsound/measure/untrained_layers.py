"""Layers that were frozen when the training began, until an optimizer trains them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.measure.layers import parameter_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import nn
    from torch.optim import Optimizer

_WAIT_STEPS = 100  # optimizers that take turns step once meanwhile


class UntrainedLayers:
    """The names of such layers.

    Args:
        names: The layers that are frozen.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {*names}
        self._thaw_steps: dict[str, int] = {}  # when each was thawed

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def discard(self, name: str) -> None:
        """Forgets a layer that an optimizer trains."""
        self._names.discard(name)

    def waits_in_vain(
        self,
        name: str,
        parameters: Sequence[nn.Parameter],
        stepped: Iterable[Optimizer],
        step: int,
    ) -> bool:
        """Returns whether a layer thawed long ago, and no optimizer that stepped has it.

        Args:
            name: The layer.
            parameters: Its parameters.
            stepped: Optimizers that made a step.
            step: Number of steps so far.
        """
        if name not in self._names:
            return False
        held = parameter_ids([*stepped]) or set()
        if any(id(p) in held for p in parameters):
            self._names.discard(name)
        elif any(p.requires_grad for p in parameters):
            return step - self._thaw_steps.setdefault(name, step) >= _WAIT_STEPS
        else:
            self._thaw_steps.pop(name, None)
        return False
