"""The loss scale and the skip flag of one step under a GradScaler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.measure.async_copy import AsyncCopy

if TYPE_CHECKING:
    import torch
    from torch.optim import Optimizer


class LossScaling:
    """The loss scale and the skip flag of a step, possibly still on an accelerator.

    Args:
        loss_scale: The factor that the norms still contain, or None.
        found_inf: Nonzero if the optimizer skips the step; None if unknown.
    """

    def __init__(
        self, loss_scale: torch.Tensor | None, found_inf: torch.Tensor | None
    ) -> None:
        tensors = {"loss_scale": loss_scale, "found_inf": found_inf}
        known = {name: tensor for name, tensor in tensors.items() if tensor is not None}
        self._names, self._copy = [*known], AsyncCopy([*known.values()])

    @classmethod
    def of_optimizer(
        cls, optimizer: Optimizer, loss_scale: torch.Tensor | None = None
    ) -> LossScaling | None:
        """Returns the values that a GradScaler gives to a fused optimizer, if it gave any.

        A fused optimizer unscales its gradients and skips steps itself.

        Args:
            optimizer: The optimizer before its step.
            loss_scale: The factor that the norms contain; the optimizer's value if None.
        """
        if loss_scale is None:
            loss_scale = getattr(optimizer, "grad_scale", None)
        found_inf = getattr(optimizer, "found_inf", None)
        if loss_scale is None and found_inf is None:
            return None
        return cls(loss_scale, found_inf)

    @property
    def scales(self) -> bool:
        """Whether the norms contain a loss scale, known or not yet."""
        return "loss_scale" in self._names

    @property
    def ready(self) -> bool:
        """Whether `values` returns without waiting."""
        return self._copy.ready

    def values(self) -> tuple[float | None, bool]:
        """Returns the loss scale (None if unknown) and whether the step is skipped."""
        values = dict(zip(self._names, self._copy.values()))
        loss_scale = values.get("loss_scale")
        skipped = bool(values.get("found_inf", 0))
        return None if loss_scale is None else float(loss_scale), skipped
