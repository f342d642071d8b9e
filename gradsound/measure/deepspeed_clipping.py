"""The loss scale and the clip factor of DeepSpeed's optimizers.

They unscale and clip in one multiplication, after they have updated the loss scale. So in
the step in which the loss scale doubles, they apply half of the gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gradsound.measure.async_copy import AsyncCopy
from gradsound.measure.deepspeed_engine import trained_parameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.measure.norms.per_layer import NormsPerLayer

_EPSILON = 1e-6  # that DeepSpeed adds to the norm of the whole gradient


class AppliedNorms:
    """Norms of layers that a step applies; a `NormsPerLayer`.

    Args:
        norms: The norms before clipping.
        growth: By how much the loss scale grew in the step: DeepSpeed divides by the new
            one, so the step applies less.
        total: The norm of the whole gradient from which the optimizer computed its factor.
        limit: The norm to which the optimizer clips the whole gradient.
    """

    def __init__(
        self, norms: NormsPerLayer, growth: float, total: Any, limit: float
    ) -> None:
        self._norms, self._growth, self._limit = norms, growth, limit
        self._copy = AsyncCopy([torch.as_tensor(total)])

    @property
    def ready(self) -> bool:
        """Whether `values` returns without waiting."""
        return self._norms.ready and self._copy.ready

    @property
    def exact(self) -> bool:
        """Whether ``ready`` is exact."""
        return self._norms.exact

    @np.errstate(invalid="ignore")
    def values(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Returns norms and absence as `NormsPerLayer.values` does."""
        norms, absent = self._norms.values()
        total = self._copy.values()[0]
        if total < 0:  # DeepSpeed's -1: NaN or infinity
            total = np.full_like(total, np.inf)
        factor = np.maximum((total + _EPSILON) / self._limit, 1)
        return norms / (factor * self._growth), absent


def clipped_total(optimizer: Any, growth: float) -> Any:
    """Returns the norm of the whole gradient, divided by the loss scale after the step.

    The optimizers keep that norm divided by other loss scales.
    """
    total = optimizer._global_grad_norm
    if hasattr(optimizer, "single_partition_of_fp32_groups"):  # ZeRO 1 and 2: the old one
        return total / growth
    if hasattr(optimizer, "fp32_groups"):  # float16 without a fused optimizer: none
        return total / loss_scale_of(optimizer)
    return total


def loss_scale_of(optimizer: Any) -> float:
    """Returns the loss scale that an optimizer keeps itself; 1 if it has none."""
    return float(getattr(optimizer, "loss_scale", None) or 1)


def factor_in(optimizer: Any, loss_scale: float) -> torch.Tensor | None:
    """Returns the factor in an optimizer's gradients; None for no factor."""
    if (scaler := getattr(optimizer, "torch_autocast_gradscaler", None)) is not None:
        device = trained_parameters(optimizer)[0].device  # elsewhere the copy would wait
        return scaler.scale(torch.ones((), device=device))  # type: ignore[no-any-return]
    return None if loss_scale == 1 else torch.tensor(loss_scale)
