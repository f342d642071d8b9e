"""How norms are taken: many gradients in few operations.

What is done at each step is what cannot wait until gradients change. Shapes: P parameters.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from gradsound.measure.norms.compute import LARGE, norm_of, norms_of_rows, norms_on_device
from gradsound.measure.norms.snapshot import NormSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gradsound.measure.norms.compute import Gradients
    from gradsound.measure.norms.jit import JitNorms

_SMALL = 4096  # elements; larger gradients are not worth copying
_STACKED = 4  # from so many small tensors of one shape, copying them together pays
_SCRATCH = 2**17  # elements that are copied together at most: they stay in the cache
_PATTERNS = 8  # plans kept; if more parameters come and go, it is planned anew
_REPLAN = 100  # steps; gradients may have moved to another device, where the plan is slow


class BatchedNorms:
    """Takes the norms of the same parameters' gradients again and again.

    What to do is planned once for each choice of parameters that have one, because looking
    at every gradient's shape each time would cost more than reading a small one.
    """

    def __init__(self) -> None:
        self._plans: dict[tuple[bool, ...], _Plan] = {}
        self._takes = 0

    def take(self, gradients: Gradients) -> NormSnapshot:
        """Takes L2 norms without waiting for a device.

        The gradients may differ in dtype, device and layout, and are not changed.
        """
        none = tuple([gradient is None for gradient in gradients])
        if self._takes % _REPLAN == 0 or len(self._plans) > _PATTERNS:
            self._plans.clear()
        self._takes += 1
        if (plan := self._plans.get(none)) is not None:
            try:
                return _taken(plan, gradients)
            except (RuntimeError, TypeError):  # they are of another type now, or sparse
                pass
        plan = self._plans[none] = _planned(gradients)
        return _taken(plan, gradients)


@dataclass(slots=True)
class _Plan:
    """How to take the norms of gradients of certain kinds, by indices of parameters.

    Attributes:
        none: Which parameters have no gradient, shape (P,).
        small: Small ones, for machine code to read, if there is any here.
        stacks: Others, of equal shape and type, measured as the rows of one matrix, with
            the memory for it: to allocate it each time would cost more than all else.
        rest: All others in the processor's memory.
        order: Of all these, shape (P,) or shorter.
        devices: Those in the memory of an accelerator.
    """

    none: NDArray[np.bool_]
    small: JitNorms | None = None
    stacks: list[tuple[list[int], torch.Tensor]] = field(default_factory=list)
    rest: list[int] = field(default_factory=list)
    order: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    devices: dict[torch.device, list[int]] = field(default_factory=dict)


def _planned(gradients: Gradients) -> _Plan:
    plan = _Plan(np.array([gradient is None for gradient in gradients]))
    small: list[int] = []
    alike, devices = defaultdict(list), defaultdict(list)
    for index, gradient in enumerate(gradients):
        if gradient is None:
            continue
        if not gradient.is_cpu:
            devices[gradient.device].append(index)
        elif (  # LLVM is loaded for small ones alone: on an accelerator there are none
            gradient.numel() <= LARGE
            and (kind := _machine_code()) is not None
            and kind.reads(gradient)
        ):
            small.append(index)
        elif (
            gradient.layout is torch.strided
            and not gradient.is_complex()
            and 0 < gradient.numel() <= _SMALL
        ):
            alike[gradient.shape, gradient.dtype].append(index)
        else:
            plan.rest.append(index)
    if small and (kind := _machine_code()) is not None:
        plan.small = kind(small)
    for (shape, dtype), indices in alike.items():
        if len(indices) < _STACKED:  # one by one: torch has nothing faster for a few
            plan.rest += indices
        else:
            plan.stacks += _stacks(indices, shape, dtype)
    plan.devices = dict(devices)
    stacked = [k for indices, _ in plan.stacks for k in indices]
    plan.order = np.array(small + stacked + plan.rest, np.intp)
    return plan


@lru_cache(maxsize=1)
def _machine_code() -> type[JitNorms] | None:
    """What reads small gradients, where llvmlite is installed and knows the processor."""
    try:
        from gradsound.measure.norms.jit import JitNorms

        JitNorms([])
    except (ImportError, OSError, RuntimeError):  # torch does it too, in more time
        return None
    return JitNorms


def _stacks(
    indices: list[int], shape: torch.Size, dtype: torch.dtype
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Cuts what would take too much memory at once."""
    most = max(1, _SCRATCH // shape.numel())
    for begin in range(0, len(indices), most):
        few = indices[begin : begin + most]
        yield few, torch.empty(len(few), *shape, dtype=dtype)


def _taken(plan: _Plan, gradients: Gradients) -> NormSnapshot:
    small = b"" if plan.small is None else plan.small.take(gradients)
    values: list[float] = []
    vectors: list[torch.Tensor] = []
    for indices, memory in plan.stacks:
        torch.stack([gradients[k] for k in indices], out=memory)  # type: ignore[misc]
        values += norms_of_rows(memory.flatten(1))
    for k in plan.rest:
        values.append(norm_of(gradients[k]))  # type: ignore[arg-type]
    for device, indices in plan.devices.items():
        vectors.append(norms_on_device(indices, gradients, device))
    return NormSnapshot(plan.none, plan.order, small, values, vectors)
