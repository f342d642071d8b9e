"""Reads the gradient norms of all layers at one moment, from this rank or from all ranks.

Shapes: L layers, P parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from gradsound.measure.distributed.pipeline_stages import warn_of_late_stages
from gradsound.measure.no_gradient_warning import NoGradientWarning
from gradsound.measure.norms.gradient_norms import GradientNorms
from gradsound.measure.norms.per_layer import LocalNorms

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence
    from typing import TypeAlias

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from gradsound.measure.distributed.sharded_norms import ShardedNorms
    from gradsound.measure.norms.object_norms import ObjectNorms
    from gradsound.measure.norms.per_layer import NormsPerLayer
    from gradsound.measure.norms.snapshot import NormCollector, NormSnapshot
    from gradsound.measure.parameter_tracker import ParameterTracker

    Source: TypeAlias = Callable[[Sequence[nn.Parameter | None]], list[torch.Tensor | None]]


class GradientReader:
    """Reads the norms of the tracked parameters' gradients.

    The parameters of a sharded model are read by all ranks together. A rank that fails
    still takes part, because the other ranks would wait for it.

    Args:
        tracker: The parameters.
        on_change: A method, called after the tracker found other parameters than before. It
            calls `update_parameters`.
        norms_per_layer: Makes the norms of layers that are whole on this rank, from a
            snapshot and the index of each layer's first parameter.

    Attributes:
        expects_no_stages: Whether to warn, at the first step, if the layers have become
            stages of a pipeline: only one rank is recorded then.
        source: Returns this rank's gradients of parameters that keep them elsewhere than in
            ``.grad``; None if all keep them there.
    """

    def __init__(
        self,
        tracker: ParameterTracker,
        on_change: Callable[[], None],
        norms_per_layer: Callable[
            [NormSnapshot, NDArray[np.intp]], NormsPerLayer
        ] = LocalNorms,
    ) -> None:
        # Weak, so that a closed monitor and what it refers to go at once.
        self._tracker, self._on_change = tracker, WeakMethod(on_change)
        self._norms_per_layer = norms_per_layer
        self.source: Source | None = None
        self._norms = GradientNorms()
        self._sharded: ShardedNorms | None = None
        if tracker.sharded:
            from gradsound.measure.distributed.sharded_norms import (
                ShardedNorms,  # takes 0.5 s to import; few models are sharded
            )

            self._sharded = ShardedNorms()
        self.expects_no_stages = False
        self._withdrawn = False
        self._without_gradient: NDArray[np.bool_] | None = None  # in the last step
        self._no_gradient = NoGradientWarning()

    def update_parameters(self) -> None:
        """Prepares to read the tracker's current parameters."""
        self._norms = GradientNorms()
        if self._sharded is not None:
            self._sharded.update_parameters(self._tracker.alive_parameters())

    def add_up_over(self, group: Any) -> None:
        """Adds up the norms of a sharded model over the ranks of a process group alone."""
        if self._sharded is not None:
            self._sharded.group = group
            self.update_parameters()

    def read(self, step: int, fresh: Container[int] | None = None) -> NormsPerLayer:
        """Reads all layers for a step, after a check that the parameters are still valid.

        Args:
            step: Number of the step, for a warning.
            fresh: The ids of the parameters whose gradients count; all if None.
        """
        if self._sharded is not None:
            return self._reduce(self._sharded, lambda: self._checked_snapshot(step, fresh))
        return self._norms_per_layer(
            self._checked_snapshot(step, fresh), self._tracker.first
        )

    def read_layers(self, layers: NDArray[np.bool_]) -> NormsPerLayer:
        """Reads at least these layers, shape (L,)."""
        return self.read_again(
            None if layers.all() else self._tracker.parameters_of(layers)
        )

    def read_again(self, fresh: Container[int] | None) -> NormsPerLayer:
        """Reads all layers without a check of the parameters; arguments as for `read`."""
        if self._sharded is None:
            return self.combine(self._snapshot(fresh))
        return self._reduce(self._sharded, lambda: self._snapshot(fresh))

    def read_collected(self, collector: NormCollector) -> NormsPerLayer:
        """Returns all layers' norms from norms that hooks have collected."""
        parameters = len(self._tracker.parameters)
        if self._sharded is None:
            return self.combine(collector.snapshot(parameters))
        return self._reduce(self._sharded, lambda: collector.snapshot(parameters))

    def combine(self, snapshot: NormSnapshot) -> NormsPerLayer:
        """Returns norms of layers from those of all P parameters, on this rank alone."""
        return self._norms_per_layer(snapshot, self._tracker.first)

    @property
    def objects(self) -> ObjectNorms | None:
        """The machine code that reads all gradients; None if something else does."""
        if self.source is not None or self._sharded is not None:
            return None
        objects = self._norms.objects
        has_parameters = objects and objects.parameters is self._tracker.parameters
        return objects if has_parameters else None

    @property
    def without_gradient(self) -> NDArray[np.bool_]:
        """Which parameters had no gradient when machine code read them, shape (P,)."""
        return self._norms.without_gradient

    def local_gradient(self, parameter: torch.Tensor) -> torch.Tensor | None:
        """Returns this rank's part of a parameter's gradient; None if it has none."""
        if self._sharded is None:
            return parameter.grad
        return self._sharded.local_gradient(parameter)

    def withdraw(self) -> None:
        """Reports a failure to the other ranks in every later reduction."""
        self._withdrawn = True

    def _reduce(
        self, sharded: ShardedNorms, snapshot: Callable[[], NormSnapshot]
    ) -> NormsPerLayer:
        """Adds up the norms of all ranks; if this rank fails, reports that and raises."""
        local = None
        try:
            local = None if self._withdrawn else snapshot()
        finally:
            norms = sharded.reduce(local, self._tracker.first)
        return norms

    def _snapshot(self, fresh: Container[int] | None) -> NormSnapshot:
        if fresh is None and self.source is None and self._sharded is None:
            return self._norms.compute_of(self._tracker.parameters)
        return self._norms.compute(self._gradients(fresh))

    def _checked_snapshot(self, step: int, fresh: Container[int] | None) -> NormSnapshot:
        snapshot = self._snapshot(fresh)
        if self._tracker.is_due(snapshot.without_gradient) and self._tracker.refresh():
            self._on_change()()  # type: ignore[misc]  # the method's object calls
            snapshot = self._snapshot(fresh)
        # A plan returns the same array at every step: to compare its elements costs more.
        if snapshot.without_gradient is not self._without_gradient:
            self._without_gradient = snapshot.without_gradient
            self._warn(step)
        return snapshot

    def _warn(self, step: int) -> None:
        """Warns of gradients that other ranks have, or that nobody sees."""
        if self.expects_no_stages:
            self.expects_no_stages = False
            warn_of_late_stages(self._tracker.alive_parameters())
        if self._without_gradient is None or not self._without_gradient.all():
            return
        if not self._tracker.warned:
            self._no_gradient.warn(step)

    def _gradients(self, fresh: Container[int] | None) -> list[torch.Tensor | None]:
        """Returns this rank's gradients, length P; None for a parameter without one."""
        alive = self._tracker.alive_parameters()
        if fresh is not None:
            alive = [p if id(p) in fresh else None for p in alive]
        if self.source is not None:
            return self.source(alive)
        if self._sharded is None:  # inline, because there may be thousands
            return [None if p is None else p.grad for p in alive]
        return [None if p is None else self._sharded.local_gradient(p) for p in alive]
