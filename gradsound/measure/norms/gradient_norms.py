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
    from collections.abc import Callable, Mapping, Sequence

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


class GradientNorms:
    """Computes the norms of the same parameters' gradients again and again.

    Args:
        load_objects: Returns the class for gradients that machine code can read, or None.
            Called only if there is such a gradient.

    Attributes:
        without_gradient: Which parameters had no gradient when machine code read them,
            shape (P,).

    Example:
        >>> norms = GradientNorms()
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
        self.without_gradient = np.zeros(0, bool)

    @property
    def objects(self) -> ObjectNorms | None:
        """The machine code, if it read all gradients there were; else None."""
        return None if self._others else self._objects

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
        objects.set_gradients(gradients)
        objects.make_room()
        if objects.read():
            self._sort(objects)
        if self._others:
            return self._with_others(objects, {k: gradients[k] for k in self._others})
        return NormSnapshot(self.without_gradient, objects.rows, objects.row)

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
        if parameters is not objects.parameters:
            objects.set_parameters(parameters)
        objects.make_room()
        if objects.read():
            self._sort(objects)
        if self._others:
            others = {k: _gradient(parameters[k]) for k in self._others}
            return self._with_others(objects, others)
        return NormSnapshot(self.without_gradient, objects.rows, objects.row)

    def _choose(self, gradients: Gradients) -> None:
        given = [gradient for gradient in gradients if gradient is not None]
        self._chosen = bool(given)
        if any(one.is_cpu and one.dtype is torch.float32 for one in given):
            kind = self._load_objects()
            self._objects = None if kind is None else kind(len(gradients))

    def _sort(self, objects: ObjectNorms) -> None:
        """Notes which gradients there are, and which of them torch reads."""
        self.without_gradient = objects.without_gradient()
        self._others = objects.unreadable().tolist()

    def _with_others(
        self, objects: ObjectNorms, others: Mapping[int, torch.Tensor | None]
    ) -> NormSnapshot:
        """Adds the norms of the gradients that torch reads, by parameter index."""
        gradients = [others.get(k) for k in range(len(self.without_gradient))]
        rest = self._torch.compute(gradients)
        return NormSnapshot(
            self.without_gradient,
            objects.rows,
            objects.row,
            rest.order,
            rest.values,
            rest.vectors,
        )


def _gradient(reference: Callable[[], torch.Tensor | None]) -> torch.Tensor | None:
    parameter = reference()
    return None if parameter is None else parameter.grad
