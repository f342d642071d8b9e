"""This rank's parts of the gradients that DeepSpeed's ZeRO divides among ranks.

ZeRO removes ``.grad`` in the backward pass. From there to the step of the engine, each rank
has its part of the sum over all ranks, in memory that DeepSpeed allocated for it. To read
the parts there costs no copy. DeepSpeed's own ``safe_get_full_grad`` would gather every
gradient on every rank.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import nn


class ZeroGradients:
    """Finds the parts of gradients on this rank.

    Args:
        optimizer: The optimizer of an engine; this does not keep it alive.
    """

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = weakref.ref(optimizer)

    def __call__(
        self, parameters: Sequence[nn.Parameter | None]
    ) -> list[torch.Tensor | None]:
        """Returns the part of each parameter's gradient; None if this rank has none.

        Call it between the backward pass and the step of the engine.

        Args:
            parameters: The parameters, length P; None for one that no longer exists.
        """
        optimizer: Any = self._optimizer()
        if not hasattr(optimizer, "fp32_partitioned_groups_flat"):
            if (wait := getattr(optimizer, "_wait_for_offload_copies", None)) is not None:
                wait()  # as the step does first; without offloading there are none
            return [None if p is None else _fragment(p) for p in parameters]
        partitions = optimizer.averaged_gradients
        if optimizer.offload_optimizer:  # views of the gradients in host memory
            partitions = optimizer.get_fp32_grad_partitions()
        parts = {
            id(parameter): partitions[number][index]
            for number, group in enumerate(optimizer.fp16_groups)
            if partitions.get(number) is not None
            for index, parameter in enumerate(group)
        }
        return [parts.get(id(p)) for p in parameters]


def _fragment(parameter: Any) -> torch.Tensor | None:
    """Returns the part of a gradient under ZeRO 1 or 2; None if this rank has none."""
    mapping = getattr(parameter, "_hp_mapping", None)
    if mapping is None:
        return None
    try:
        gradient = mapping.get_lp_grad_fragment(parameter._index_in_param_group)
    except ValueError:  # there was no backward pass
        return None
    address = mapping.lp_fragment_address
    if gradient.numel() != address.numel:  # DeepSpeed's bfloat16 optimizer keeps the whole
        gradient = gradient.flatten().narrow(0, address.start, address.numel)
    return gradient  # type: ignore[no-any-return]
