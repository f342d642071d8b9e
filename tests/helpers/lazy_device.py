"""torch's own lazy device, which computes the operations of a step when the step ends.

It has no streams, no events and no pinned memory, as other devices that compile later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch._lazy
import torch._lazy.metrics
import torch._lazy.ts_backend

torch._lazy.ts_backend.init()

end_step: Callable[[], None] = torch._lazy.mark_step


@contextmanager
def norms_in_graphs() -> Iterator[None]:
    """Lets the device compute norms in its graph, as torch-xla does.

    Without that, torch computes them on the host, and executes a graph for each.
    """
    library = torch.library.Library("aten", "IMPL")
    library.impl("linalg_vector_norm", _norm, "Lazy")
    try:
        yield
    finally:
        library._destroy()


def _norm(
    x: torch.Tensor,
    order: float = 2,
    dim: list[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    assert (order, dim or None, keepdim) == (2, None, False)
    return x.to(dtype or x.dtype).square().sum().sqrt()


def count_graphs() -> tuple[int, int]:
    """Returns how many graphs the device has executed and compiled so far."""
    known = set(torch._lazy.metrics.counter_names())
    cached, compiled = (
        torch._lazy.metrics.counter_value(name) if name in known else 0
        for name in ("CachedCompile", "UncachedCompile")
    )
    return cached + compiled, compiled
