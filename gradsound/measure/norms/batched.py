"""Norms of many gradients at one moment: by machine code where it can, else by torch.

Shapes: P parameters.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from gradsound.measure.norms.snapshot import NormSnapshot
from gradsound.measure.norms.torch_norms import TorchNorms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gradsound.measure.norms.compute import Gradients
    from gradsound.measure.norms.object_norms import ObjectNorms


@lru_cache(maxsize=1)
def load_object_norms() -> type[ObjectNorms] | None:
    """Returns the class that reads gradients by machine code; None if it cannot.

    It needs llvmlite, a processor that llvmlite knows, and torch 2.10 or later. Without it,
    torch computes the same norms more slowly.
    """
    try:
        from gradsound.measure.norms.object_norms import ObjectNorms

        ObjectNorms(0)
    except (ImportError, OSError, RuntimeError, AttributeError):
        return None
    return ObjectNorms


class BatchedNorms:
    """Computes the norms of the same parameters' gradients again and again.

    Args:
        load_objects: Returns the class for gradients that machine code can read, or None.
            Called only if there is such a gradient.

    Example:
        >>> norms = BatchedNorms()
        >>> norms.compute([torch.tensor([3.0, 4.0]), None]).host_norms().tolist()
        [5.0, 0.0]
    """

    def __init__(
        self, load_objects: Callable[[], type[ObjectNorms] | None] = load_object_norms
    ) -> None:
        self._load_objects = load_objects
        self._chosen = False  # whether machine code reads; decided by the first gradients
        self._objects: ObjectNorms | None = None
        self._torch = TorchNorms()
        self._others: list[int] = []  # gradients that torch reads
        self._without_gradient = np.zeros(0, bool)

    def compute(self, gradients: Gradients) -> NormSnapshot:
        """Computes L2 norms without waiting for a device.

        Args:
            gradients: Length P, of any dtype, device and layout; None for a parameter
                without a gradient. They are not changed.
        """
        if not self._chosen:
            self._choose(gradients)
        if (objects := self._objects) is None:
            return self._torch.compute(gradients)
        if objects.read(gradients):
            self._sort(objects)
        return self._snapshot(objects, lambda k: gradients[k])

    def compute_of(
        self, parameters: Sequence[Callable[[], torch.Tensor | None]]
    ) -> NormSnapshot:
        """Computes the L2 norms of parameters' gradients without waiting for a device.

        Args:
            parameters: Weak references, length P, or other callables; those are not called
                if machine code reads, and stand for parameters without a gradient then.
        """
        if (objects := self._objects) is None:
            return self.compute([_gradient(reference) for reference in parameters])
        if objects.read_of(parameters):
            self._sort(objects)
        return self._snapshot(objects, lambda k: _gradient(parameters[k]))

    def _choose(self, gradients: Gradients) -> None:
        given = [gradient for gradient in gradients if gradient is not None]
        self._chosen = bool(given)
        if any(one.is_cpu and one.dtype is torch.float32 for one in given):
            kind = self._load_objects()
            self._objects = None if kind is None else kind(len(gradients))

    def _sort(self, objects: ObjectNorms) -> None:
        """Notes which gradients there are, and which of them torch reads."""
        self._without_gradient = objects.without_gradient()
        self._others = objects.unreadable().tolist()

    def _snapshot(
        self, objects: ObjectNorms, gradient_of: Callable[[int], torch.Tensor | None]
    ) -> NormSnapshot:
        absent, rows, row = self._without_gradient, objects.rows, objects.row
        if not self._others:
            return NormSnapshot(absent, rows, row, _NOTHING, (), ())
        others: list[torch.Tensor | None] = [None] * len(absent)
        for k in self._others:
            others[k] = gradient_of(k)
        rest = self._torch.compute(others)
        return NormSnapshot(absent, rows, row, rest.order, rest.values, rest.vectors)


_NOTHING: NDArray[np.intp] = np.zeros(0, np.intp)


def _gradient(reference: Callable[[], torch.Tensor | None]) -> torch.Tensor | None:
    parameter = reference()
    return None if parameter is None else parameter.grad
