"""A small model of Keras on torch, and the true norms of what Keras applies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

# Keras reads these when it is imported, and writes a file of settings.
os.environ["KERAS_BACKEND"] = "torch"
os.environ.setdefault("KERAS_HOME", str(Path(__file__).parents[2] / "build" / "keras"))

import keras


def sequential(
    *,
    kind: type = keras.optimizers.Adam,
    loss_scale: float | None = None,
    policy: str = "float32",
    **options: object,
) -> tuple[keras.Model, Any]:
    """Returns a seeded model with three layers, and its optimizer.

    Args:
        kind: The class of the optimizer.
        loss_scale: The first loss scale of a LossScaleOptimizer; None for no such.
        policy: The dtypes of the layers.
        **options: Options of the optimizer.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, activation="relu", dtype=policy),
            layers.BatchNormalization(dtype=policy),
            layers.Dense(1, dtype=policy),
        ]
    )
    optimizer = kind(1 / 64, **options)
    if loss_scale is not None:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, loss_scale)
    return model, optimizer


def layer_norms(
    model: keras.Model, gradients: list[torch.Tensor | None] | None = None
) -> dict[str, float]:
    """Returns the norm of each layer's gradients in float64; NaN without any.

    Args:
        model: The model, whose layers have names of their own.
        gradients: The gradients of ``model.trainable_variables``; ``.grad`` if None.
    """
    squares: dict[str, float] = {}
    for index, variable in enumerate(model.trainable_variables):
        gradient = variable.value.grad if gradients is None else gradients[index]
        name = variable.path.rpartition("/")[0].replace("/", ".")
        square = np.nan if gradient is None else gradient.double().square().sum().item()
        squares[name] = squares.get(name, 0.0) + square
    return {name: square**0.5 for name, square in squares.items()}


class Oracle:
    """Keeps what a Keras optimizer applies, in a ``with`` statement, by means of its own.

    It replaces methods of classes, whereas gradsound replaces those of one optimizer.

    Attributes:
        applied: Norms of the layers at each update, and at each skipped one, unscaled.
        raw: Norms before clipping, where the optimizer clips.
        losses: Mean loss of the batches of each update.
        rates: Learning rate of each update, without skipped ones.
        skipped: Whether each update was skipped.
    """

    def __init__(self, model: keras.Model) -> None:
        self.applied: list[dict[str, float]] = []
        self.raw: list[dict[str, float]] = []
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.skipped: list[bool] = []
        self._model, self._batches = model, []
        self._restore: list[tuple[type, str, Any]] = []

    def __enter__(self) -> Oracle:
        outer = self._model.optimizer
        inner = getattr(outer, "inner_optimizer", outer)
        self._before(type(outer), "scale_loss", self._keep_loss)
        self._before(type(inner), "_clip_gradients", self._keep_raw)
        self._before(type(inner), "_backend_update_step", self._keep_applied)
        if outer is not inner:
            skip = "_stateful_handle_non_finite_grads"
            self._before(type(outer), skip, self._keep_skipped)
        return self

    def __exit__(self, *_: object) -> None:
        for kind, name, own in self._restore:
            if own is None:
                delattr(kind, name)
            else:
                setattr(kind, name, own)

    def _before(self, kind: type, name: str, note: Any) -> None:
        original = getattr(kind, name)
        self._restore.append((kind, name, vars(kind).get(name)))

        def method(optimizer: Any, *args: Any) -> Any:
            torch.compiler.disable(note)(optimizer, *args)
            return original(optimizer, *args)

        setattr(kind, name, method)

    def _keep_loss(self, _: object, loss: torch.Tensor) -> None:
        self._batches.append(loss.item())

    def _keep_raw(self, optimizer: Any, gradients: list[torch.Tensor]) -> None:
        if optimizer.clipnorm or optimizer.global_clipnorm or optimizer.clipvalue:
            self.raw.append(layer_norms(self._model, gradients))

    def _keep_applied(
        self, _: object, gradients: list[torch.Tensor], __: object, rate: Any
    ) -> None:
        self.rates.append(float(rate))
        self._add(layer_norms(self._model, gradients), skipped=False)

    def _keep_skipped(self, optimizer: Any) -> None:
        scale = float(optimizer.dynamic_scale)
        norms = layer_norms(self._model)
        self._add({name: norm / scale for name, norm in norms.items()}, skipped=True)

    def _add(self, norms: dict[str, float], *, skipped: bool) -> None:
        self.applied.append(norms)
        self.losses.append(sum(self._batches) / len(self._batches))
        self.skipped.append(skipped)
        self._batches.clear()
