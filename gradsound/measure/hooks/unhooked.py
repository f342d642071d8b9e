"""Notices new gradients that no hook has seen.

A pipeline schedule with a split backward pass (zero bubble) assigns ``.grad`` itself, so
autograd calls no hook of the parameter.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch


class UnhookedGradients:
    """Remembers the gradients that were measured.

    A gradient is new if it is another tensor, or was written since.
    """

    def __init__(self) -> None:
        # By the id of the parameter. An id of a gradient would return with another one.
        self._known: dict[int, tuple[weakref.ref[torch.Tensor], int]] = {}

    def find_new(self, parameters: Iterable[torch.Tensor | None]) -> set[int]:
        """Returns the ids of the parameters that have a new gradient."""
        return {
            id(parameter)
            for parameter in parameters
            if parameter is not None and self._is_new(parameter)
        }

    def _is_new(self, parameter: torch.Tensor) -> bool:
        if (gradient := parameter.grad) is None:
            return False
        reference, version = self._known.get(id(parameter), (lambda: None, 0))
        return reference() is not gradient or gradient._version != version

    def remember(self, parameters: Iterable[torch.Tensor | None]) -> None:
        """Remembers the current gradients as measured."""
        self._known = {
            id(parameter): (weakref.ref(gradient), gradient._version)
            for parameter in parameters
            if parameter is not None and (gradient := parameter.grad) is not None
        }
