"""What a hook does when it is called: it measures a step, emits it, and never fails.

Shapes: L layers, P parameters.
"""

from __future__ import annotations

import time
import traceback
import weakref
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from gradsound.errors import warn
from gradsound.measure.norms import gradient_norms, layer_norms
from gradsound.run import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch.optim import Optimizer

    from gradsound.measure.layers import Layer

    Emit: TypeAlias = Callable[[Step], None]


class Tap:
    """Measures layers and emits their norms, until closed.

    It is reached from hooks only, which go when the optimizer or the model goes, and it
    keeps no parameter alive.

    Args:
        layers: What to measure.
        emit: Called in the training thread with each step.
    """

    def __init__(self, layers: Sequence[Layer], emit: Emit) -> None:
        self.parameters = [weakref.ref(p) for layer in layers for p in layer.parameters]
        sizes = [len(layer.parameters) for layer in layers]
        self._first = np.cumsum([0, *sizes[:-1]])
        self._emit, self._start = emit, time.perf_counter()
        self.steps = 0  # emitted
        self._told = False  # that no gradient is visible
        self.handles: list[Any] = []  # each with a remove()

    def close(self) -> None:
        """Removes every hook. A second call does nothing."""
        while self.handles:
            self.handles.pop().remove()

    def measure_skipped(self, optimizer: Optimizer, scale: float) -> None:
        """Takes and emits a step that a scaler of that scale skipped."""
        self.measure(optimizer, skipped_at=scale)

    def measure(
        self,
        optimizer: Optimizer,
        fresh: set[int] | None = None,
        skipped_at: float | None = None,
    ) -> None:
        """Takes the norms of this moment and emits them as a step.

        Args:
            optimizer: Which one steps. A fused one under a GradScaler unscales gradients
                itself, later; until then they are scaled, and it has the scale.
            fresh: The parameters whose gradients count; all if None.
            skipped_at: If the step was skipped and its gradients are unscaled: the scale.
        """
        gradients = []
        for index, parameter in enumerate(self.parameters):
            alive = parameter() if fresh is None or index in fresh else None
            gradients.append(None if alive is None else alive.grad)
        norms = gradient_norms(gradients)
        none = np.array([gradient is None for gradient in gradients])
        if none.all() and not self._told:
            self._told = True
            warn(
                f"no gradient is visible at step {self.steps}: .grad is None everywhere. "
                "Nothing was computed, or parameters were replaced after the optimizer was "
                "made, or a wrapper (such as DeepSpeed) keeps gradients to itself"
            )
        scale, skipped = skipped_at, skipped_at is not None
        if (waiting := getattr(optimizer, "grad_scale", None)) is not None:
            scale = float(waiting)
            norms /= scale
        if (found := getattr(optimizer, "found_inf", None)) is not None:
            skipped = bool(found)
        self.emit(norms, none, scale, skipped)

    def emit(
        self,
        norms: NDArray[np.float64],
        none: NDArray[np.bool_],
        scale: float | None = None,
        skipped: bool = False,
    ) -> None:
        """Emits a step from the norms of its parameters, and which have none, both (P,)."""
        absent = np.logical_and.reduceat(none, self._first)
        with np.errstate(over="ignore"):  # float64 norms above 3.4e38 become infinite
            layers = layer_norms(np.where(none, 0.0, norms), self._first)
            values = layers.astype(np.float32)
        values[absent] = np.nan
        seconds = time.perf_counter() - self._start
        step = Step(self.steps, seconds, values, absent, scale, skipped)
        self.steps += 1
        self._emit(step)

    def safely(self, act: Callable[[], None]) -> None:
        """Does what a hook has to do; an exception ends the measuring, not training."""
        try:
            with torch.no_grad():
                act()
        except Exception:  # noqa: BLE001 (whatever it is, training must go on)
            self.close()
            warn(
                "an error ended the measuring; training goes on, what was recorded so far "
                f"is kept:\n{traceback.format_exc()}"
            )
