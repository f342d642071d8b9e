"""The loss of each step: what a training calls ``backward()`` on."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.amp import GradScaler


class BackwardLoss(threading.local):
    """The losses of the batches since the last step; each thread has its own.

    Attributes:
        passes: How many backward passes have begun.
        scaler: The GradScaler that scaled a loss last, if any.
    """

    def __init__(self) -> None:
        self.passes = 0
        self._losses: list[float | Tensor] = []
        self._divided_by: set[float] = set()  # all but the first of them
        self._scaled: tuple[weakref.ref[Tensor], Tensor] | None = None
        self._scaler: weakref.ref[GradScaler] | None = None

    @property
    def scaler(self) -> GradScaler | None:
        """The GradScaler that scaled a loss last, if it still exists."""
        return None if self._scaler is None else self._scaler()

    def note_scaled(self, scaler: GradScaler, loss: Any, scaled: Any) -> None:
        """Notes that a scaler multiplied a loss, which the backward pass then gets."""
        if not scaler.is_enabled():
            return
        self._scaler = weakref.ref(scaler)
        if isinstance(loss, torch.Tensor) and loss is not scaled:
            self._scaled = weakref.ref(scaled), loss

    def note(self, tensors: Any) -> None:
        """Notes the loss of a backward pass; ignores what is not one number.

        The host waits for no device: a number on an accelerator is copied there. It never
        raises, and makes few calls, because it runs in each backward pass.

        Args:
            tensors: What the pass begins with.
        """
        self.passes += 1
        try:
            if isinstance(tensors, (list, tuple)) and len(tensors) == 1:
                tensors = tensors[0]
            if not isinstance(tensors, torch.Tensor) or tensors.numel() != 1:
                return
            if torch._C._current_graph_task_id() >= 0:  # a pass inside another, no loss
                return
            loss = tensors if self._scaled is None else self._unscale(tensors)
            if self._losses:
                self._divided_by.add(_divisor(loss))
            if type(loss) is torch.Tensor and loss.is_cpu:
                self._losses.append(loss.item())
            else:
                self._losses.append(loss.detach().reshape(()).clone())
        except Exception:  # noqa: BLE001 (a step without a loss is better than no training)
            self._losses = []

    def _unscale(self, loss: Tensor) -> Tensor:
        """Returns a loss without the loss scale, if a GradScaler has just scaled it."""
        scaled, self._scaled = self._scaled, None
        if scaled is None:
            return loss
        if scaled[0]() is loss:
            return scaled[1]
        scale = None if self.scaler is None else self.scaler._scale
        return loss if scale is None else loss.detach() / scale.to(loss.device)

    def pop(self) -> float | Tensor | None:
        """Returns the mean loss since the last call, and forgets it; None without one.

        A training that accumulates N batches may divide each loss by N. Then the sum of
        these is the mean.
        """
        losses, divisors = self._losses, self._divided_by
        if not losses:
            return None
        self._losses = []
        if (count := len(losses)) == 1:
            return losses[0]
        self._divided_by = set()
        with torch.no_grad():
            total = sum(losses[1:], start=losses[0])
            return total if divisors == {count} else total / count


def _divisor(loss: Tensor) -> float:
    """Returns the number by which a training divided a loss at last; 1 if by none."""
    node: Any = loss.grad_fn
    if node is None or node.name() not in ("DivBackward0", "MulBackward0"):
        return 1
    other = getattr(node, "_saved_other", None)
    if not isinstance(other, torch.Tensor) or other.numel() != 1 or not other.is_cpu:
        return 1
    number = float(other.item())
    if node.name() == "DivBackward0":
        return number
    return round(1 / number) if number > 0 else 1
