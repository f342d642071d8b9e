"""How norms are taken: many gradients in few operations, without losing any digit.

What is done at each step is what cannot wait until gradients change. Shapes: P parameters.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch.linalg import vector_norm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Gradients: TypeAlias = Sequence[torch.Tensor | None]

# Elements that a processor sums in one go. Single precision loses a part in 4,000 over a
# million equal ones, two in a million over these; and rows are read a fifth faster than
# one long vector.
_ROW = 2048
_SMALL = 4096  # elements; larger gradients are not worth copying
_LARGE = 16_384  # up to here an operation more costs more, and a part in 60,000 is lost
_ROW_LEAST = 64  # shorter ones take longer than a second operation for what is left over
_STACKED = 4  # from so many small tensors of one shape, copying them together pays
_SCRATCH = 2**17  # elements that are copied together at most: they stay in the cache
# Below, squares of float32 elements may have vanished, so the sum is taken again.
_SMALLEST = 1e-16
_ENLARGE = 2.0**100  # exact, and squares of what is under _SMALLEST stay in range
_PATTERNS = 8  # plans kept; if more parameters come and go, it is planned anew
_REPLAN = 100  # steps; gradients may have moved to another device, where the plan is slow
# What sums are taken in; float32 for all others, half precision among them.
_SUM = {
    torch.float64: torch.float64,
    torch.complex32: torch.complex64,
    torch.complex64: torch.complex64,
    torch.complex128: torch.complex128,
}


@dataclass(slots=True)
class Sample:
    """Norms as they were taken, to be put in order when there is time.

    Attributes:
        none: Which parameters have no gradient, shape (P,).
        order: Whose the values are, by index.
        values: Norms of gradients in the processor's memory.
        vectors: Norms of gradients in the memory of accelerators, a vector there for each,
            0 elsewhere, each shape (P,).
    """

    none: NDArray[np.bool_]
    order: Sequence[int]
    values: Sequence[float]
    vectors: Sequence[torch.Tensor]

    def on_host(self) -> NDArray[np.float64]:
        """Norms of those in the processor's memory, shape (P,); 0 elsewhere."""
        norms = np.zeros(len(self.none))
        norms[self.order] = self.values
        return norms


class Meter:
    """Takes the norms of the same parameters' gradients again and again.

    What to do is planned once for each choice of parameters that have one, because looking
    at every gradient's shape each time would cost more than reading a small one.
    """

    def __init__(self) -> None:
        self._plans: dict[tuple[bool, ...], _Plan] = {}
        self._takes = 0

    def take(self, gradients: Gradients) -> Sample:
        """Takes L2 norms without waiting for a device.

        The gradients may differ in dtype, device and layout, and are not changed. Sums that
        leave the range of float32 are taken again, so a norm is infinite or 0 only where
        its gradient is.
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


class Held:
    """Norms taken one by one while a backward pass goes on.

    Attributes:
        norms: By the parameter's index, each a number or, on an accelerator, a tensor.
    """

    def __init__(self) -> None:
        self.norms: dict[int, float | torch.Tensor] = {}

    def put(self, index: int, gradient: torch.Tensor) -> None:
        """Takes the norm of a parameter's gradient as it is now."""
        if gradient.is_cpu:
            self.norms[index] = _norm(gradient)
        else:
            self.norms[index] = _on_device([0], [gradient], gradient.device)[0]

    def sample(self, size: int) -> Sample:
        """As `Meter.take`, of P = size parameters."""
        none = np.ones(size, bool)
        none[[*self.norms]] = False
        here = {k: norm for k, norm in self.norms.items() if isinstance(norm, float)}
        there: dict[torch.device, list[torch.Tensor]] = {}
        for index, norm in self.norms.items():
            if isinstance(norm, torch.Tensor):
                if norm.device not in there:
                    there[norm.device] = [torch.zeros_like(norm)] * size
                there[norm.device][index] = norm
        vectors = [torch.stack(norms) for norms in there.values()]
        return Sample(none, [*here], [*here.values()], vectors)


@dataclass(slots=True)
class _Plan:
    """How to take the norms of gradients of certain kinds, by indices of parameters.

    Attributes:
        none: Which parameters have no gradient, shape (P,).
        stacks: Small ones of equal shape and type, measured as the rows of one matrix, with
            the memory for it: to allocate it each time would cost more than all else.
        singles: Other small ones, each with what its sum is taken in.
        rest: All others in the processor's memory.
        order: Of all these.
        devices: Those in the memory of an accelerator.
    """

    none: NDArray[np.bool_]
    stacks: list[tuple[list[int], torch.Tensor]] = field(default_factory=list)
    singles: list[tuple[int, torch.dtype]] = field(default_factory=list)
    rest: list[int] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    devices: dict[torch.device, list[int]] = field(default_factory=dict)


def _planned(gradients: Gradients) -> _Plan:
    plan = _Plan(np.array([gradient is None for gradient in gradients]))
    small, devices = defaultdict(list), defaultdict(list)
    for index, gradient in enumerate(gradients):
        if gradient is None:
            continue
        if not gradient.is_cpu:
            devices[gradient.device].append(index)
        elif (
            gradient.layout is torch.strided
            and not gradient.is_complex()
            and 0 < gradient.numel() <= _LARGE
        ):
            small[gradient.shape, gradient.dtype].append(index)
        else:
            plan.rest.append(index)
    for (shape, dtype), indices in small.items():
        if len(indices) < _STACKED or shape.numel() > _SMALL:
            plan.singles += [(k, _SUM.get(dtype, torch.float32)) for k in indices]
        else:
            plan.stacks += _stacks(indices, shape, dtype)
    plan.devices = dict(devices)
    plan.order = [k for indices, _ in plan.stacks for k in indices]
    plan.order += [k for k, _ in plan.singles] + plan.rest
    return plan


def _taken(plan: _Plan, gradients: Gradients) -> Sample:
    vectors = [
        _on_device(indices, gradients, device) for device, indices in plan.devices.items()
    ]
    return Sample(plan.none, plan.order, _on_host(plan, gradients), vectors)


def _stacks(
    indices: list[int], shape: torch.Size, dtype: torch.dtype
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Cuts what would take too much memory at once."""
    most = max(1, _SCRATCH // shape.numel())
    for begin in range(0, len(indices), most):
        few = indices[begin : begin + most]
        yield few, torch.empty(len(few), *shape, dtype=dtype)


def _on_host(plan: _Plan, gradients: Gradients) -> list[float]:
    """Norms in the order of the plan."""
    norms: list[float] = []
    for indices, memory in plan.stacks:
        torch.stack([gradients[k] for k in indices], out=memory)  # type: ignore[misc]
        norms += _norms_of_rows(memory.flatten(1))
    for k, sum_type in plan.singles:  # one by one: torch has nothing faster for a few
        norm = vector_norm(gradients[k], 2, None, False, dtype=sum_type).item()
        if not _SMALLEST <= norm < math.inf:
            norm = _norm_of_any_size(gradients[k])  # type: ignore[arg-type]
        norms.append(norm)
    return norms + [_norm(gradients[k]) for k in plan.rest]  # type: ignore[arg-type]


def _norms_of_rows(matrix: torch.Tensor) -> list[float]:
    """Shape (rows,), of a matrix of shape (rows, N), which is changed."""
    sum_type = _SUM.get(matrix.dtype, torch.float32)
    norms: list[float] = vector_norm(matrix, dim=1, dtype=sum_type).tolist()
    for row in [row for row, norm in enumerate(norms) if norm == math.inf]:
        norms[row] = _norm_of_any_size(matrix[row])
    if any(norm < _SMALLEST for norm in norms) and matrix.dtype is not torch.float16:
        scaled = vector_norm(matrix.mul_(_ENLARGE), dim=1, dtype=sum_type).tolist()
        norms = [
            norm if norm >= _SMALLEST else large / _ENLARGE
            for norm, large in zip(norms, scaled)
        ]
    return norms


def _norm(gradient: torch.Tensor) -> float:
    """Of any one gradient in the processor's memory."""
    dense = _dense(gradient)
    sum_type = _SUM.get(dense.dtype, torch.float32)
    if dense.numel() > _LARGE and not dense.is_complex():
        norm = _norm_by_rows(dense.reshape(-1), sum_type)
    else:
        norm = vector_norm(dense, 2, None, False, dtype=sum_type).item()
    return norm if _SMALLEST <= norm < math.inf else _norm_of_any_size(dense)


def _norm_by_rows(vector: torch.Tensor, sum_type: torch.dtype) -> float:
    size = len(vector)
    row = math.gcd(size, _ROW)
    if row < _ROW_LEAST:
        row = _ROW
    left = size % row
    matrix = vector[: size - left].view(-1, row)
    rows = vector_norm(matrix, dim=1, dtype=sum_type)
    norm: float = vector_norm(rows, dtype=torch.float64).item()
    if left:
        norm = math.hypot(norm, vector_norm(vector[-left:], dtype=sum_type).item())
    return norm


def _norm_of_any_size(gradient: torch.Tensor) -> float:
    """Takes the largest element out first, so that no square can overflow or vanish."""
    if not gradient.numel():
        return 0.0
    most: float = vector_norm(gradient, math.inf).item()
    if not 0 < most < math.inf:
        return most  # right if 0, infinite or NaN; layers that rest at 0 end here
    wide = gradient.to(torch.complex128 if gradient.is_complex() else torch.float64)
    return float(vector_norm(wide / most)) * most


def _on_device(
    indices: list[int], gradients: Gradients, device: torch.device
) -> torch.Tensor:
    """Norms of those on an accelerator, as a vector there, shape (P,).

    Sums are taken in float64, which leaves nothing to be looked at and taken again: the
    time is that of reading the gradients all the same.
    """
    sum_type = torch.float32 if device.type == "mps" else torch.float64  # it has no other
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


def _dense(gradient: torch.Tensor) -> torch.Tensor:
    """A dense tensor of the same norm."""
    if gradient.is_sparse:
        return gradient.coalesce().values()
    return gradient
