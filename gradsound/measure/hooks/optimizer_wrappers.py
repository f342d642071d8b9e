"""Finds the optimizer inside a wrapper that has no hooks (Accelerate, an old Lookahead)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer

if TYPE_CHECKING:
    from collections.abc import Sequence


def unwrap_optimizers(
    optimizer: Optimizer | Sequence[Optimizer] | None,
) -> tuple[Optimizer, ...]:
    """Returns the innermost optimizers, which have hooks: none, one or several.

    Raises:
        ValueError: If a wrapper has no attribute ``optimizer`` with an optimizer.
    """
    if optimizer is None:
        return ()
    given = [optimizer] if isinstance(optimizer, Optimizer) else optimizer
    return tuple(dict.fromkeys(_unwrap(one) for one in given))


def _unwrap(optimizer: Optimizer) -> Optimizer:
    inner: Any = optimizer
    while not hasattr(inner, "_optimizer_step_pre_hooks"):
        wrapped = getattr(inner, "optimizer", None)
        if not isinstance(wrapped, Optimizer):
            raise ValueError(
                f"optimizer {type(inner).__name__} does not call Optimizer.__init__, so it "
                "has no hooks to measure its steps: give the optimizer inside it"
            )
        inner = wrapped
    return inner  # type: ignore[no-any-return]
