"""Norms of layers from before clipping, until a step applies the gradients or none does.

Shapes: L layers.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from gradsound.errors import warn
from gradsound.measure.discarded_steps import DiscardWatch
from gradsound.measure.loss_scaling import LossScaling

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.measure.distributed.local_gradients import LocalGradients
    from gradsound.measure.gradient_reader import GradientReader
    from gradsound.measure.logged_values import LoggedNumber
    from gradsound.measure.norms.per_layer import NormsPerLayer
    from gradsound.measure.parameter_tracker import ParameterTracker


@dataclass(slots=True)
class RawMeasurement:
    """Norms from before one clipping, possibly still on an accelerator.

    Attributes:
        layers: Which layers are clipped, shape (L,).
        norms: Norms of these layers, and maybe of others.
        loss_scaling: The loss scale in these norms, if the clipping came too early.
    """

    layers: NDArray[np.bool_]
    norms: NormsPerLayer
    loss_scaling: LossScaling | None = None

    @property
    def ready(self) -> bool:
        """Whether `values` returns without waiting."""
        return self.norms.ready and (self.loss_scaling is None or self.loss_scaling.ready)

    def values(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Returns norms without the loss scale, and absence, as `NormsPerLayer.values`."""
        norms, absent = self.norms.values()
        loss_scale = None if self.loss_scaling is None else self.loss_scaling.values()[0]
        return (norms if loss_scale is None else norms / loss_scale), absent


@dataclass(slots=True)
class ClippedStep:
    """The clippings since the last step.

    Attributes:
        time: When the first clipping began, in seconds of ``time.perf_counter()``.
        measurements: Norms from before each clipping.
        values: Values that the user logged before the last clipping.
    """

    time: float
    measurements: list[RawMeasurement] = field(default_factory=list)
    values: dict[str, LoggedNumber] = field(default_factory=dict)


class RawNorms:
    """Measures each layer before its first clipping after the last backward pass of a step.

    Args:
        tracker: The layers.
        reader: Reads their gradients.

    Attributes:
        watch: Notices that the training threw the clipped gradients away.
    """

    def __init__(self, tracker: ParameterTracker, reader: GradientReader) -> None:
        self._tracker, self._reader = tracker, reader
        self.watch = DiscardWatch()
        self._watched_layers: NDArray[np.bool_] | None = None
        self._clipped: ClippedStep | None = None
        self._warned = False  # that a clipping came too early
        # A scaler that unscaled gradients after they were clipped.
        self._late_scaler: weakref.ref[GradScaler] | None = None

    def are_of(self, optimizer: Optimizer) -> bool:
        """Returns whether the pending clipped gradients are of this optimizer."""
        parameter, groups = self.watch.parameter, optimizer.param_groups
        return parameter is not None and any(
            p is parameter for group in groups for p in group["params"]
        )

    def measure(
        self,
        parameters: Iterable[torch.Tensor] | None,
        time: float,
        local: LocalGradients | None = None,
    ) -> ClippedStep | None:
        """Measures the layers of these parameters (all layers if None).

        Args:
            parameters: The parameters that are about to be clipped.
            time: When the clipping begins.
            local: This rank's own gradients, to take in place of the reduced ones.

        Returns:
            The clippings since the last step; None if these layers are not measured.
        """
        layers = self._tracker.layers_of(parameters)
        if not layers.any():
            return None
        if self.watch.accumulated and self._clipped is not None:
            self._clipped.measurements.clear()  # of parts of the gradients
            self._start_watch(layers)
        new = layers
        for measurement in self._clipped.measurements if self._clipped else ():
            new = new & ~measurement.layers
        # The ranks of a sharded model read at every clipping. Else one that did not notice
        # a discarded step would wait for the others.
        if self._tracker.sharded:
            norms = self._reader.read_layers(layers)
        elif not (new is layers or new.any()):
            return self._clipped
        elif local is not None:
            norms = self._reader.read_collected(local.keep_clipped())
        else:
            norms = self._reader.read_layers(new)
        if self._clipped is None:
            self._clipped = ClippedStep(time)
            self._start_watch(layers)
        loss_scaling = None
        if local is not None:
            loss_scaling = local.loss_scaling()
        elif self._late_scaler is not None:
            loss_scaling = self._loss_scaling()
        self._clipped.measurements.append(RawMeasurement(new, norms, loss_scaling))
        return self._clipped

    def update_parameters(self) -> None:
        """Chooses the parameter to watch anew, because the tracker has others."""
        self._watched_layers = None

    def _start_watch(self, layers: NDArray[np.bool_]) -> None:
        if self._watched_layers is layers and self.watch.restart():
            return
        if (parameter := self._tracker.find_gradient(layers)) is not None:
            self.watch.start(parameter)
            self._watched_layers = layers

    def after_unscale(self, scaler: GradScaler, optimizer: Optimizer) -> None:
        """Notes that a scaler unscaled gradients; warns if they were clipped before.

        Then the norms from before clipping contain the loss scale.
        """
        if not scaler.is_enabled() or not self.are_of(optimizer):
            return
        self._late_scaler = weakref.ref(scaler)
        for measurement in self._clipped.measurements if self._clipped else ():
            if measurement.loss_scaling is None:
                measurement.loss_scaling = self._loss_scaling()
        self.warn_if_early()

    def warn_if_early(self) -> None:
        """Warns once if gradients were clipped that still contain the loss scale."""
        if self.watch.parameter is not None and not self._warned:
            self._warned = True
            warn(
                "clipping came too early: the gradients were still multiplied by the loss "
                "scale, so it made them far too small; call scaler.unscale_(optimizer) "
                "before it"
            )

    def _loss_scaling(self) -> LossScaling | None:
        scaler = None if self._late_scaler is None else self._late_scaler()
        if scaler is None or (parameter := self.watch.parameter) is None:
            return None
        return LossScaling(scaler.scale(torch.ones((), device=parameter.device)), None)

    def pop(self) -> ClippedStep | None:
        """Returns the clippings since the last step, if there are any; forgets them."""
        if self._clipped is None:
            return None
        self.watch.stop()
        clipped, self._clipped = self._clipped, None
        return clipped

    def remove(self) -> None:
        """Removes the hook on a parameter."""
        self.watch.remove()
