"""How norms are taken: many gradients in few operations, without losing any digit.

Shapes: P parameters.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch.linalg import vector_norm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Gradients: TypeAlias = Sequence[torch.Tensor | None]

# Elements that a processor sums in one go. Single precision loses a part in 4,000 over a
# million equal ones; rows lose nothing, and are read a fifth faster than one long vector.
_ROW = 4096
_LARGE = 4 * _ROW  # up to here an operation more costs more, and a part in 60,000 is lost
_ROW_LEAST = 64  # shorter ones take longer than a second operation for what is left over
_STACKED = 4  # from so many small tensors of one shape, copying them together pays
# Below, squares of float32 elements may have vanished, so the sum is taken again.
_SMALLEST = 1e-16
_KINDS = 8  # plans kept; a model whose gradients differ in more ways is planned anew
# What sums are taken in; float32 for all others, half precision among them.
_SUM = {
    torch.float64: torch.float64,
    torch.complex32: torch.complex64,
    torch.complex64: torch.complex64,
    torch.complex128: torch.complex128,
}
_kind_of = attrgetter("layout", "dtype", "is_cpu")


class Meter:
    """Takes the norms of the same parameters' gradients again and again.

    What to do is planned once for each kind of gradients that it meets, because looking at
    every gradient's shape each time would cost more than reading a small one.
    """

    def __init__(self) -> None:
        self._plans: dict[tuple[Any, ...], _Plan] = {}

    def take(self, gradients: Gradients) -> list[torch.Tensor]:
        """Returns L2 norms, 0 where there is no gradient, without waiting for a device.

        The gradients may differ in dtype, device and layout, and are not changed. Sums that
        leave the range of float32 are taken in float64, so a norm is infinite or 0 only
        where its gradient is.

        Returns:
            A vector for the processor's memory and for that of each accelerator, which has
            the norms of the gradients there and is 0 elsewhere, each shape (P,), float64.
        """
        kinds = tuple([None if g is None else _kind_of(g) for g in gradients])
        plan = self._plans.get(kinds)
        if plan is None:
            if len(self._plans) == _KINDS:
                self._plans.clear()
            plan = self._plans[kinds] = _planned(gradients)
        vectors = (
            [] if plan.devices and not len(plan.owner) else [_on_host(plan, gradients)]
        )
        for device, indices in plan.devices.items():
            vectors.append(_on_device(indices, gradients, device))
        return vectors


class Held:
    """Norms taken one by one while a backward pass goes on.

    Attributes:
        norms: By the parameter's index, each a float64 on the device of its gradient.
    """

    def __init__(self) -> None:
        self.norms: dict[int, torch.Tensor] = {}

    def put(self, index: int, gradient: torch.Tensor) -> None:
        """Takes the norm of a parameter's gradient as it is now."""
        (vector,) = Meter().take([gradient])
        self.norms[index] = vector[0]

    def take(self, size: int) -> list[torch.Tensor]:
        """As `Meter.take`, of P = size parameters."""
        vectors = []
        for device in {norm.device for norm in self.norms.values()}:
            norms = [torch.zeros((), dtype=_sum_type(device), device=device)] * size
            for index, norm in self.norms.items():
                if norm.device == device:
                    norms[index] = norm
            vectors.append(torch.stack(norms))
        return vectors


@dataclass(slots=True)
class _Plan:
    """How to take the norms of gradients of certain kinds, by indices of parameters.

    Attributes:
        stacks: Small ones of equal shape and type, measured as the rows of one matrix.
        rows: Large ones, each measured as the rows of a matrix: the length of its rows,
            and how many elements are left over.
        rest: All others in the processor's memory, by what their sums are taken in.
        owner: Whose each of these partial norms is, in the order they are taken.
        devices: Those in the memory of an accelerator.
    """

    stacks: list[list[int]] = field(default_factory=list)
    rows: list[tuple[int, int, int]] = field(default_factory=list)
    rest: dict[torch.dtype, list[int]] = field(default_factory=dict)
    owner: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    devices: dict[torch.device, list[int]] = field(default_factory=dict)


def _planned(gradients: Gradients) -> _Plan:
    plan = _Plan()
    small, rest, devices = defaultdict(list), defaultdict(list), defaultdict(list)
    for index, gradient in enumerate(gradients):
        if gradient is None:
            continue
        dtype = gradient.dtype
        if not gradient.is_cpu:
            devices[gradient.device].append(index)
        elif gradient.layout is not torch.strided or dtype.is_complex:
            rest[_SUM.get(dtype, torch.float32)].append(index)
        elif gradient.numel() <= _LARGE:
            small[gradient.shape, dtype].append(index)
        else:
            plan.rows.append((index, *_cut(gradient.numel())))
    for (_, dtype), indices in small.items():
        if len(indices) < _STACKED or gradients[indices[0]].numel() > _ROW:  # type: ignore[union-attr]
            rest[_SUM.get(dtype, torch.float32)] += indices
        else:
            plan.stacks.append(indices)
    owner = [index for indices in plan.stacks for index in indices]
    for index, row, left in plan.rows:
        owner += [index] * (gradients[index].numel() // row + bool(left))  # type: ignore[union-attr]
    for indices in rest.values():
        owner += indices
    plan.owner = np.array(owner, np.intp)
    plan.rest, plan.devices = dict(rest), dict(devices)
    return plan


def _on_host(plan: _Plan, gradients: Gradients) -> torch.Tensor:
    """Norms of those in the processor's memory, shape (P,)."""
    parts = [torch.zeros(0)]
    for indices in plan.stacks:
        matrix = torch.stack([gradients[k] for k in indices]).flatten(1)  # type: ignore[misc]
        parts.append(_norms_of_rows(matrix))
    for index, row, left in plan.rows:
        vector = gradients[index].reshape(-1)  # type: ignore[union-attr]
        if left:
            parts.append(_norms_of_rows(vector[:-left].view(-1, row)))
            parts.append(_norms_of_rows(vector[-left:][None]))
        else:
            parts.append(_norms_of_rows(vector.view(-1, row)))
    for sum_type, indices in plan.rest.items():
        dense = [_dense(gradients[k]) for k in indices]  # type: ignore[arg-type]
        parts.append(torch.stack(torch._foreach_norm(dense, 2, dtype=sum_type)).real)
    partial = torch.cat(parts).numpy().astype(np.float64)
    squares = np.bincount(plan.owner, partial * partial, len(gradients))
    norms = np.sqrt(squares)
    if norms.min(initial=1.0) >= _SMALLEST and norms.max(initial=1.0) < np.inf:  # no NaN
        return torch.from_numpy(norms)
    for index in np.flatnonzero(~(norms < np.inf) | (norms < _SMALLEST)).tolist():
        if (gradient := gradients[index]) is not None and gradient.is_cpu:
            norms[index] = _norm_of_any_size(_dense(gradient))
    return torch.from_numpy(norms)


def _cut(size: int) -> tuple[int, int]:
    """The length of rows to cut so many elements into, and how many are left over."""
    row = math.gcd(size, _ROW)
    return (row, 0) if row >= _ROW_LEAST else (_ROW, size % _ROW)


def _norms_of_rows(matrix: torch.Tensor) -> torch.Tensor:
    """Shape (rows,), of a matrix of shape (rows, N)."""
    norms: torch.Tensor = vector_norm(
        matrix, dim=1, dtype=_SUM.get(matrix.dtype, torch.float32)
    )
    return norms


def _on_device(
    indices: list[int], gradients: Gradients, device: torch.device
) -> torch.Tensor:
    """Norms of those on an accelerator, as a vector there, shape (P,), float64.

    Sums are taken in float64, which leaves nothing to be looked at and taken again: the
    time is that of reading the gradients all the same.
    """
    sum_type = _sum_type(device)
    norms = [torch.zeros((), dtype=sum_type, device=device)] * len(gradients)
    real: list[tuple[int, torch.Tensor]] = []
    complex_: list[tuple[int, torch.Tensor]] = []
    for index in indices:
        dense = _dense(gradients[index])  # type: ignore[arg-type]
        if dense.numel():  # older kernels read beyond an empty one
            (complex_ if dense.is_complex() else real).append((index, dense))
    if real:
        taken = torch._foreach_norm([dense for _, dense in real], 2, dtype=sum_type)
        for (index, _), norm in zip(real, taken):
            norms[index] = norm
    for index, dense in complex_:
        norms[index] = vector_norm(torch.view_as_real(dense), dtype=sum_type)
    return torch.stack(norms)


def _sum_type(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64  # it has no other


def _dense(gradient: torch.Tensor) -> torch.Tensor:
    """A dense tensor of the same norm."""
    if gradient.is_sparse:
        return gradient.coalesce().values()
    return gradient


def _norm_of_any_size(gradient: torch.Tensor) -> float:
    """Takes the largest element out first, so that no square can overflow or vanish."""
    if not gradient.numel():
        return 0.0
    most = float(vector_norm(gradient, float("inf")))
    if not 0 < most < np.inf:
        return most  # right if 0, infinite or NaN; layers that rest at 0 end here
    wide = gradient.to(torch.complex128 if gradient.is_complex() else torch.float64)
    return float(vector_norm(wide / most)) * most
