"""Hooks on an optimizer of Keras, which has none: replaced methods of one object."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from gradsound.measure.hooks.guards import never_raises, uncompiled, warn_of_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from gradsound.integrations.stand_in import StandInTraining


class ObservedOptimizer:
    """Records each update of a Keras optimizer, until removed.

    Keras unscales, accumulates and clips gradients inside of its optimizer, in tensors of
    its own. While gradsound measures, each parameter's ``.grad`` is the tensor that Keras
    is about to apply; afterwards it is what it was before.

    Args:
        optimizer: The optimizer, or a LossScaleOptimizer around it.
        parameters: The parameters of the model.
        training: Records the steps.

    Attributes:
        epoch: Number of the epoch, recorded with each step.

    Raises:
        TypeError: If the optimizer has other methods than those of Keras 3.
    """

    def __init__(
        self, optimizer: Any, parameters: Sequence[nn.Parameter], training: StandInTraining
    ) -> None:
        self.epoch = 0
        self._parameters, self._training = parameters, training
        self._unclipped: Sequence[Tensor | None] | None = None
        self._replaced: list[tuple[Any, str]] = []
        inner = optimizer
        while hasattr(inner, "inner_optimizer"):
            # After the check for overflow: `_skip` sees gradients that Keras does not use.
            self._call_before(inner, "_stateful_handle_non_finite_grads", self._skip)
            self._scaler, inner = inner, inner.inner_optimizer
        self._call_before(optimizer, "scale_loss", training.losses.add)
        self._replace(inner, "_clip_gradients", self._keeping_unclipped)
        self._call_before(inner, "_backend_update_step", self._step)
        self._optimizer = inner

    def _replace(
        self, owner: Any, name: str, wrap: Callable[[Callable[..., Any]], Any]
    ) -> None:
        method = getattr(owner, name, None)
        if method is None:
            self.remove()
            raise TypeError(
                f"gradsound does not know the {type(owner).__name__} of this Keras, which "
                f"has no {name}(): install Keras 3.15"
            )
        setattr(owner, name, functools.wraps(method)(wrap(method)))
        self._replaced.append((owner, name))

    def _call_before(self, owner: Any, name: str, hook: Callable[..., None]) -> None:
        """Has a method call a hook with the same arguments before it does its work."""
        hook = uncompiled(hook)

        def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
            def observed(*args: Any, **kwargs: Any) -> Any:
                hook(*args, **kwargs)
                return method(*args, **kwargs)

            return observed

        self._replace(owner, name, wrap)

    def _keeping_unclipped(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def clip(gradients: Any) -> Any:
            clipped = method(gradients)
            self._unclipped = None if clipped is gradients else gradients
            return clipped

        return clip

    @never_raises
    def _step(self, gradients: Sequence[Tensor], variables: Sequence[Any], lr: Any) -> None:
        """Records the gradients that Keras is about to apply to variables."""
        kept = [parameter.grad for parameter in self._parameters]
        applied = [variable.value for variable in variables]
        unclipped, self._unclipped = self._unclipped, None
        try:
            for parameter in self._parameters:
                parameter.grad = None
            if unclipped is not None:
                _set_gradients(applied, unclipped)
                self._training.before_clip()
            _set_gradients(applied, gradients)
            self._training.step(lr=getattr(lr, "value", lr), epoch=self.epoch)
        finally:
            _set_gradients(self._parameters, kept)

    @never_raises
    def _skip(self) -> None:
        """Records the gradients of a step that Keras skips, as its backward pass left them.

        They contain the loss scale.
        """
        lr = self._optimizer.learning_rate
        scale = self._scaler.dynamic_scale.value.detach().clone()  # Keras changes it
        self._training.skip_step(scale, lr=getattr(lr, "value", lr), epoch=self.epoch)

    def stop_after_error(self) -> None:
        """Ends the observation because of the exception in progress, with one warning."""
        self.remove()
        warn_of_error()

    def remove(self) -> None:
        """Restores Keras's own methods. A second call does nothing."""
        while self._replaced:
            owner, name = self._replaced.pop()
            vars(owner).pop(name, None)


def _set_gradients(
    parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor | None]
) -> None:
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = gradient
