"""Norms of many gradients in few operations of torch, by a plan that is made once.

Only work that must precede the next change of the gradients happens here, at every step.
Shapes: P parameters.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gradsound.measure.norms.compute import (
    LARGE,
    compute_norm,
    compute_norms_on_device,
    compute_row_norms,
    compute_small_norm,
)
from gradsound.measure.norms.snapshot import NormSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gradsound.measure.norms.compute import Gradients

_STACKED_MAX = 4096  # elements of a gradient; to copy a larger one costs more than it saves
_STACK_LEAST = 4  # gradients of one shape; to copy fewer costs more than it saves
_STACK_ELEMENTS = 2**17  # in one stack at most, so that it stays in the processor's cache
_PLANS_MAX = 8  # plans kept; beyond, all are made again
_REPLAN_STEPS = 100  # a plan is slow, but right, for gradients on another device


class TorchNorms:
    """Computes the norms of the same parameters' gradients again and again.

    It keeps a plan for each set of parameters that have a gradient. To look at the shape of
    every gradient at every step would cost more than to read a small gradient.

    Example:
        >>> norms = TorchNorms()
        >>> norms.compute([torch.tensor([3.0, 4.0]), None]).host_norms().tolist()
        [5.0, 0.0]
    """

    def __init__(self) -> None:
        self._plans: dict[tuple[bool, ...], _Plan] = {}
        self._calls = 0

    def compute(self, gradients: Gradients) -> NormSnapshot:
        """Computes L2 norms without waiting for a device.

        Args:
            gradients: Length P, of any dtype, device and layout; None for a parameter
                without a gradient. They are not changed.
        """
        without_gradient = tuple([gradient is None for gradient in gradients])
        if self._calls % _REPLAN_STEPS == 0 or len(self._plans) > _PLANS_MAX:
            self._plans.clear()
        self._calls += 1
        if (plan := self._plans.get(without_gradient)) is not None:
            try:
                return _execute(plan, gradients)
            except (RuntimeError, TypeError):  # a gradient changed its type or layout
                pass
        plan = self._plans[without_gradient] = _make_plan(gradients)
        return _execute(plan, gradients)


@dataclass(slots=True)
class _Plan:
    """How to compute the norms of gradients of certain types, by parameter index.

    Attributes:
        without_gradient: Which parameters have no gradient, shape (P,).
        stacks: Small gradients of equal shape and dtype, computed as the rows of one
            matrix, with the memory of that matrix. To allocate it at every step would cost
            more than all other work.
        small: Other dense float32 gradients of few elements.
        single: All other gradients in host memory.
        order: Parameter indices of all these in this order, at most P.
        devices: Gradients in the memory of each accelerator.
    """

    without_gradient: NDArray[np.bool_]
    stacks: list[tuple[list[int], torch.Tensor]] = field(default_factory=list)
    small: list[int] = field(default_factory=list)
    single: list[int] = field(default_factory=list)
    order: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    devices: dict[torch.device, list[int]] = field(default_factory=dict)


def _make_plan(gradients: Gradients) -> _Plan:
    plan = _Plan(np.array([gradient is None for gradient in gradients]))
    stackable, devices = defaultdict(list), defaultdict(list)
    rest: list[int] = []
    for index, gradient in enumerate(gradients):
        if gradient is None:
            continue
        if not gradient.is_cpu:
            devices[gradient.device].append(index)
        elif (
            type(gradient) is torch.Tensor  # torch stacks no two subclasses
            and gradient.layout is torch.strided
            and not gradient.is_complex()
            and 0 < gradient.numel() <= _STACKED_MAX
        ):
            stackable[gradient.shape, gradient.dtype].append(index)
        else:
            rest.append(index)
    for (shape, dtype), indices in stackable.items():
        if len(indices) >= _STACK_LEAST:
            plan.stacks += _make_stacks(indices, shape, dtype)
        else:
            rest += indices
    for index in rest:
        (plan.small if _is_small(gradients[index]) else plan.single).append(index)
    plan.devices = dict(devices)
    stacked = [k for indices, _ in plan.stacks for k in indices]
    plan.order = np.array(stacked + plan.small + plan.single, np.intp)
    return plan


def _is_small(gradient: Any) -> bool:
    """Returns whether `compute_small_norm` reads a gradient in host memory."""
    return (
        type(gradient) is torch.Tensor
        and gradient.layout is torch.strided
        and gradient.dtype is torch.float32
        and gradient.is_contiguous()
        and 0 < gradient.numel() <= LARGE
    )


def _make_stacks(
    indices: list[int], shape: torch.Size, dtype: torch.dtype
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Divides gradients of one shape into stacks of limited memory."""
    rows = max(1, _STACK_ELEMENTS // shape.numel())
    for begin in range(0, len(indices), rows):
        part = indices[begin : begin + rows]
        yield part, torch.empty(len(part), *shape, dtype=dtype)


def _execute(plan: _Plan, gradients: Gradients) -> NormSnapshot:
    values: list[float] = []
    vectors: list[torch.Tensor] = []
    for indices, memory in plan.stacks:
        torch.stack([gradients[k] for k in indices], out=memory)  # type: ignore[misc]
        values += compute_row_norms(memory.view(len(indices), -1))
    for k in plan.small:
        values.append(compute_small_norm(gradients[k]))  # type: ignore[arg-type]
    for k in plan.single:
        values.append(compute_norm(gradients[k]))  # type: ignore[arg-type]
    for device, indices in plan.devices.items():
        vectors.append(compute_norms_on_device(indices, gradients, device))
    return NormSnapshot(plan.without_gradient, None, 0, plan.order, values, vectors)
