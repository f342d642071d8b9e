"""Finds the optimizer inside a wrapper that has no hooks (Accelerate, an old Lookahead)."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer


def unwrap_optimizer(optimizer: Optimizer | None) -> Optimizer | None:
    """Returns the innermost optimizer, which has hooks; None without an optimizer.

    Raises:
        ValueError: If a wrapper has no attribute ``optimizer`` with an optimizer.
    """
    inner: Any = optimizer
    while inner is not None and not hasattr(inner, "_optimizer_step_pre_hooks"):
        wrapped = getattr(inner, "optimizer", None)
        if not isinstance(wrapped, Optimizer):
            raise ValueError(
                f"optimizer {type(inner).__name__} does not call Optimizer.__init__, so it "
                "has no hooks to measure its steps: give the optimizer inside it"
            )
        inner = wrapped
    return inner  # type: ignore[no-any-return]
