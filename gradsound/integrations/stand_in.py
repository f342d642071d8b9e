"""Stands for a framework's own optimizer, because gradsound hooks optimizers of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from gradsound.integrations.callback import AttachedTraining
from gradsound.integrations.loss_mean import LossMean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn


class StandIn(Optimizer):
    """An optimizer whose steps update nothing, and are measured.

    Args:
        parameters: The parameters that the framework's own optimizer updates.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        super().__init__([*parameters], {})

    def step(self, closure: object = None) -> None:  # type: ignore[override]
        """Does nothing; the hooks on it measure the gradients."""

    def skip_step(self, loss_scale: Tensor | None) -> None:
        """Makes a step that is recorded as skipped.

        Args:
            loss_scale: The factor that the gradients contain; None for 1.
        """
        # A fused optimizer gets these from a GradScaler.
        self.found_inf = torch.ones(())
        if loss_scale is not None:
            self.grad_scale = loss_scale
        try:
            self.step()
        finally:
            del self.found_inf
            vars(self).pop("grad_scale", None)


class StandInTraining(AttachedTraining):
    """Attaches to a training whose optimizer is none of torch's, until the training ends.

    Args:
        web: As for `AttachedTraining`.
        options: As for `AttachedTraining`.
        stop_on: As for `AttachedTraining`.

    Attributes:
        losses: The losses since the last step.

    Raises:
        ValueError: If there are signals; and as `AttachedTraining`.
    """

    def __init__(
        self,
        web: bool | int | str,
        options: dict[str, Any],
        stop_on: str | Iterable[str] = (),
    ) -> None:
        super().__init__(web, options, stop_on)
        if signals := options.get("signals"):
            raise ValueError(
                f"signals must be empty with an optimizer of Keras or fastai, got "
                f"{signals!r}: gradsound sees its gradients alone"
            )
        self.losses = LossMean()
        self._optimizer: StandIn | None = None

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"losses": LossMean(), "_optimizer": None}

    def attach_parameters(
        self, model: nn.Module, parameters: Iterable[nn.Parameter], step: int = 0
    ) -> None:
        """Attaches to the parameters that the framework updates.

        Args:
            model: As for `gradsound.attach`.
            parameters: The parameters.
            step: As for `AttachedTraining.attach`.
        """
        self._optimizer, self.losses = StandIn(parameters), LossMean()
        self.attach(model, self._optimizer, step=step)

    def step(self, **values: object) -> None:
        """Records the current gradients as a step, with the mean loss and values."""
        if self._optimizer is not None:
            self._log_step(self._optimizer, values)
            self._optimizer.step()

    def skip_step(self, loss_scale: Tensor | None = None, **values: object) -> None:
        """Records a step that the framework skips, as `step` and `StandIn.skip_step`."""
        if self._optimizer is not None:
            self._log_step(self._optimizer, values)
            self._optimizer.skip_step(loss_scale)

    @property
    def attached(self) -> bool:
        """Whether it is attached to parameters."""
        return self._optimizer is not None

    def before_clip(self) -> None:
        """Records the current norms as those before clipping."""
        for attachment in self._attachments.values():
            attachment.before_clip()

    def end(self) -> None:
        """Finishes every file. A second call does nothing."""
        super().end()
        self._optimizer = None

    def _log_step(self, optimizer: StandIn, values: dict[str, object]) -> None:
        if (loss := self.losses.pop()) is not None:
            values["loss"] = loss
        self.log_values(optimizer, **values)
